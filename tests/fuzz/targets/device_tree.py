"""Device trees as a guest leaves them: what /chosen says, or that there is no tree."""

from loading import borrow

from shim.handoff.device_tree import chosen

ERRORS = ()


def seeds():
    build = borrow("tests/shim/handoff/test_device_tree.py")
    return {
        "kernel": build.tree([("bootargs", b"quiet\0"), ("linux,initrd-start", bytes(8)), ("rng-seed", bytes(32))]),
        "no-chosen": build.tree([], b"other"),
    }


def target(data):
    found = chosen(data)
    assert found is None or all(isinstance(each, (str, int)) for each in found.values())
