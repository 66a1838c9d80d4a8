"""A device tree as a platform has it: nodes in nodes, with properties (Devicetree Specification 0.4, chapter 2)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    StrictStr,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

Cell = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z,._+?#-]+(@[0-9A-Za-z,._+-]+)?$", max_length=64)]
Value: TypeAlias = Cell | Literal[True] | StrictStr | tuple[Cell, ...] | tuple[StrictStr, ...]


def _say_what_is_right(value: Any, validate: ValidatorFunctionWrapHandler) -> Value:
    try:
        return cast("Value", validate(value))
    except ValidationError:
        raise ValueError("no property: true, a number of 32 bits, a text, or a list of either") from None


#: true is a property without a value, a number a cell of 32 bits, and lists are of cells or of texts.
Property = Annotated[Value, WrapValidator(_say_what_is_right), Tag("property")]


def _kind(value: object) -> str:
    return "node" if isinstance(value, dict | Node) else "property"


class Node(RootModel[dict[Name, Annotated["Property | Annotated[Node, Tag('node')]", Discriminator(_kind)]]]):
    """A node of a device tree: its properties, and the nodes in it."""

    model_config = ConfigDict(frozen=True)

    @property
    def properties(self) -> dict[str, Value]:
        """What the node says of itself."""
        return {name: each for name, each in self.root.items() if not isinstance(each, Node)}

    @property
    def nodes(self) -> dict[str, Node]:
        """The nodes in it."""
        return {name: each for name, each in self.root.items() if isinstance(each, Node)}
