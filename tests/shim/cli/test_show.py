"""The verb show: its words."""

from __future__ import annotations

import pytest


@pytest.fixture
def recorded(command):
    assert command("run", "program:hello", "--trace", "exact", "--out", "run", "--quiet").code == 0


@pytest.fixture
def asked(monkeypatch, recorded, command):
    """What is asked of the accesses: limit, way, range of code, range of calls; or how the command ended."""
    found = []
    monkeypatch.setattr("shim.report.accesses.show_accesses", lambda _run, *arguments: found.append(arguments))

    def ask(*arguments):
        found.clear()
        done = command("show", "run", "accesses", *arguments)
        assert (done.code == 0) == bool(found)
        return found[0] if found else done

    return ask


NONE = (None, None)


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ((), "returned EFI_SUCCESS"),
        (("calls",), "OutputString"),
        (("regions",), "payload .text"),
        (("events",), "no measurements"),
        (("accesses",), "payload .data"),
        (("accesses", "--by", "function"), "OutputString"),
        (("accesses", "--by", "code"), "payload+0x"),
        (("accesses", "--by", "call"), "the start"),
        (("calls", "--limit", "1"), "OutputString"),
        (("sbi",), "none"),
    ],
)
def test_views(view, says, recorded, command):
    done = command("show", "run", *view)
    assert (done.code, done.err) == (0, "")
    assert says in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "moons"], 2, "accesses, calls, events, handoff, privileged, regions, sbi"),
        (["run", "accesses", "--by", "moon"], 2, "region, function, code, call"),
        (["run", "accesses", "--limit", "-1"], 2, "limit"),
        (["run", "accesses", "--calls", "5..2"], 2, "--calls 5..2"),
        (["run", "accesses", "--code", "main"], 2, "--code main"),
        (["run", "calls", "--calls", "1..2"], 2, "are for accesses"),
        (["run", "--code", "0..10"], 2, "are for accesses"),
        (["run", "regions", "--by", "call"], 2, "are for accesses"),
        (["run", "handoff"], 10, "no kernel entry"),
        (["nowhere", "accesses"], 10, "nowhere"),
    ],
)
def test_bad_words(arguments, code, says, recorded, command):
    done = command("show", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_accesses_need_the_level_exact(command):
    command("run", "program:hello", "--trace", "calls", "--out", "run", "--quiet")
    done = command("show", "run", "accesses", "--by", "code")
    assert done.code == 10
    assert "--trace exact" in done.err
    assert len(done.err.splitlines()) == 1


def test_what_is_asked_of_accesses(asked):
    assert asked() == (0, "region", NONE, NONE)
    assert asked("--by", "call", "--limit", 5, "--calls", "3..", "--code", "..0x20") == (
        5,
        "call",
        (None, 0x20),
        (3, None),
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0x3fd80000..0x3fd90000", (0x3FD80000, 0x3FD90000)),
        ("3fd80000..3FD90000", (0x3FD80000, 0x3FD90000)),
        ("10..", (0x10, None)),
        ("..0x10", (None, 0x10)),
        ("0..ffffffffffffffff", (0, (1 << 64) - 1)),
    ],
)
def test_code_is_hexadecimal(text, code, asked):
    assert asked("--code", text) == (0, "region", code, NONE)


@pytest.mark.parametrize(
    "text",
    [
        *("", "..", "10", "10...20", "x..y", "0x..10", "..0x", "-10..20", "1_0..20", " 1..2", "1..2\n"),
        *("..10000000000000000", pytest.param(f"{'f' * 5000}..", id="long")),
    ],
)
def test_code_that_is_none(text, asked):
    done = asked("--code", text)
    assert done.code == 2
    assert "--code" in done.err
