"""What the firmware must not touch: files, clocks, randomness, and anything whose order a host decides."""

import ast
from pathlib import Path

import pytest

import efi_services

FORBIDDEN = {
    "os", "io", "time", "random", "secrets", "socket", "subprocess", "pathlib", "shutil", "tempfile", "threading",
    "multiprocessing", "asyncio", "signal", "platform", "getpass", "locale", "urllib", "http", "ssl", "select", "mmap",
    "logging", "warnings",
}  # fmt: skip
FORBIDDEN_CALLS = {"open", "input", "print", "exec", "compile", "__import__", "breakpoint", "hash"}
CLOCKS = {"now", "utcnow", "today"}
ROOT = Path(efi_services.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def calls(tree):
    """Names that are called by themselves, and attributes that are called on `datetime` or `date`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
                # `fw.clock.now` is no call: a call of one of these names is of the host's clock.
                yield node.func.attr


def is_set(node):
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")


def walks_over_sets(tree):
    """Loops, comprehensions and conversions to a sequence that go straight over a set."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension) and is_set(node.iter):
            yield node.iter.lineno
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("list", "tuple", "iter", "enumerate", "next", "zip", "map")
            and any(is_set(each) for each in node.args)
        ):
            yield node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_pure(path):
    tree = ast.parse(path.read_text())
    assert not FORBIDDEN & set(imports(tree))
    assert not (FORBIDDEN_CALLS | CLOCKS) & set(calls(tree))
    assert list(walks_over_sets(tree)) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os.path", imports), ("from time import monotonic", imports), ("def f():\n    import random", imports),
        ("open('x')", calls), ("datetime.datetime.now()", calls), ("datetime.utcnow()", calls),
        ("for x in {1, 2}:\n    pass", walks_over_sets), ("[x for x in set(y)]", walks_over_sets),
        ("list({x for x in y})", walks_over_sets), ("next(iter(frozenset(x)))", walks_over_sets),
    ],
)  # fmt: skip
def test_this_test_can_fail(source, found):
    names = set(found(ast.parse(source)))
    assert names
    if found is imports:
        assert names & FORBIDDEN
    if found is calls:
        assert names & (FORBIDDEN_CALLS | CLOCKS)


def test_everything_is_looked_at():
    assert {"firmware.py", "dispatch.py", "boot", "runtime", "protocols"} <= {each.name for each in ROOT.iterdir()}
    assert len(SOURCES) > 30
