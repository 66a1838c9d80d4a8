"""Values in a platform's file, and what its parts have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: object) -> int:
    """A number of bytes: an int, or text such as "1G", "512M", "0x9f000"; raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no size")  # noqa: TRY004 - pydantic wants a ValueError
    word = text.strip().upper().removesuffix("B").removesuffix("I")
    try:
        if word[-1:] in _UNITS:
            return int(word[:-1], 0) * _UNITS[word[-1]]
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} is no size; write for example 512M or 1G") from None


def _hexadecimal(value: int) -> str:
    return f"{value:#x}"


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(_hexadecimal, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "description": "bytes, as a number or such as 512M or 0x9f000"}),
]


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is UTC: it must not depend on the host's."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]


class Model(BaseModel):
    """What all parts have in common: no unknown keys, no changes afterwards."""

    # Most parts are only ever used by the whole, so none is built before it is used by itself.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
