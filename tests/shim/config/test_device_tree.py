import pytest
from pydantic import ValidationError

from shim.config.device_tree import Node


def test_nodes_and_properties_are_told_apart():
    tree = Node.model_validate({"a": 1, "b": {"c": True, "d": {}}, "e@0": {}, "f": ["x"], "#g": []})
    assert tree.properties == {"a": 1, "f": ("x",), "#g": ()}
    assert set(tree.nodes) == {"b", "e@0"}
    assert tree.nodes["b"].properties == {"c": True}
    assert tree.nodes["b"].nodes == {"d": Node({})}


def test_what_is_written_can_be_read():
    data = {"a": 1, "b": {"c": True, "d": {"e": [1, 2]}}, "f": ["x", "y"], "g": "z"}
    tree = Node.model_validate(data)
    assert tree.model_dump(mode="json") == data
    assert Node.model_validate_json(tree.model_dump_json()) == tree


@pytest.mark.parametrize("value", [-1, 1 << 32, False, 1.5, None, [True], [1, "x"], [[1]], b"x", [1 << 32]])
def test_what_is_no_property(value):
    with pytest.raises(ValidationError, match="a number of 32 bits, a text, or a list of either"):
        Node.model_validate({"a": value})


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\0", "ä", "a@b@c", "@", "x" * 65])
def test_what_is_no_name(name):
    for value in (1, {}):
        with pytest.raises(ValidationError):
            Node.model_validate({name: value})
