"""What is shown while a run goes on: on stderr, and the payload's text literally."""

import io
import re

import pytest
from rich.console import Console
from rich.table import Table

from shim.report import live as live_module
from shim.report.live import Live, summary_table
from shim.report.quiet import live_unless
from shim.session.request import Progress


@pytest.fixture
def shown(capsys):
    """Runs a function with a Live, and gives the lines that came."""

    def show(act, *, quiet=False):
        with live_unless(quiet) as live:
            act(live)
        out, err = capsys.readouterr()
        assert out == "", "stdout belongs to what people asked for"
        return err.splitlines()

    return show


HOSTILE = [
    "[red]not red[/red]",
    "[/]",
    "[/dim]",
    "[bold",
    "\\[red]",
    "[link=http://x]y[/link]",
    "back\\",
    "back\\\\",
    "\\",
    "[a\\]",
    ":smile: :on:",
    "C:\\EFI\\[dim]\\",
    "0x1234 'quoted' 12.5 None True",
    "{x} %s",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(shown, text):
    assert shown(lambda live: live.console(text + "\n")) == [f"│ {text}"]
    assert shown(lambda live: live.console(text)) == [f"│ {text}"], "and at the end without a line end"
    assert shown(lambda live: live.say(text)) == [text]


def test_control_characters_are_visible(shown):
    assert shown(lambda live: live.console("\x1b[2J\x07\x9b1m\n")) == ["│ \\x1b[2J\\x07\\x9b1m"]
    assert shown(lambda live: live.say("a\x1b[31m")) == ["a\\x1b[31m"]


def test_lines_come_in_pieces(shown):
    def act(live):
        for text in ("one ", "line\r", "\nand ", "", "another\r\n", "\r\n", "rest"):
            live.console(text)

    assert shown(act) == ["│ one line", "│ and another", "│ ", "│ rest"]


def test_a_line_that_never_ends_is_shown_in_pieces(shown):
    def act(live):
        for _ in range(1000):
            live.console("x" * 50)
            assert len(live._line) <= 4096 + 50

    lines = shown(act)
    assert "".join(line.removeprefix("│ ") for line in lines) == "x" * 50_000
    assert max(map(len, lines)) < 4096 + 100


def test_a_wide_line_is_not_folded(shown):
    assert shown(lambda live: live.console("y" * 3000 + "\n")) == ["│ " + "y" * 3000]


@pytest.mark.parametrize(("lines", "rest"), [(199, None), (200, None), (201, "1 more line"), (5000, "4800 more lines")])
def test_many_lines_are_cut_and_counted(shown, lines, rest):
    found = shown(lambda live: [live.console(f"{i}\n") for i in range(lines)])
    assert found[:200] == [f"│ {i}" for i in range(min(lines, 200))]
    if rest is None:
        assert len(found) == lines
    else:
        (last,) = found[200:]
        assert rest in last
        assert "console.txt" in last


def test_many_lines_in_one_piece(shown):
    found = shown(lambda live: live.console("a\n" * 100_000))
    assert len(found) == 201


def test_quiet_is_quiet(shown, make_report, tmp_path):
    def act(live):
        live.console("text\n")
        live.say("text")
        live.progress(Progress(1, 2, 3.0))
        live.summary(make_report(), tmp_path)

    assert shown(act, quiet=True) == []


def test_progress_needs_a_terminal(shown):
    assert shown(lambda live: live.progress(Progress(1, 2, 3.0))) == []


def test_progress_on_a_terminal(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(
        live_module, "Console", lambda **_options: Console(file=file, force_terminal=True, width=100, highlight=False)
    )
    with Live() as live:
        live.progress(Progress(7_000_000, 42, 1.5))
        live._status._live.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    assert "7 M blocks, 42 service calls, 1.5 s" in text
    assert file.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in file.getvalue(), "the cursor is back"


def test_an_exception_goes_through(shown):
    with pytest.raises(KeyboardInterrupt), Live():
        raise KeyboardInterrupt


# The summary.


def rows(report):
    """The summary as lines: name and text."""
    console = Console(file=io.StringIO(), width=1000, highlight=False, emoji=False)
    console.print(summary_table(report))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return [tuple(re.split(r" {2,}", line, maxsplit=1)) for line in lines]


def test_the_summary_of_a_plain_run(make_report):
    found = rows(make_report())
    assert ("payload", "stub, efi for x86_64") in found
    assert ("version", "6.1") in found
    assert ("sha256", "ab" * 32) in found
    assert ("outcome", "returned EFI_SUCCESS: it returned") in found
    assert ("boot services", "still there at the end") in found
    assert ("service calls", "3: Exit 2, Stall 1") in found
    assert ("memory", "5.0 of 1024 MiB allocated at the peak") in found
    assert ("memory digest", "22" * 32) in found
    assert ("engine", "Unicorn 2.1.4, 1,234,567 blocks") in found
    assert ("time", "0.50 s: 0.25 s emulation, 0.12 s services") in found
    assert not {"kernel entry", "accesses", "digest", "finding", "not implemented", "note"} & {
        each[0] for each in found
    }


def test_the_summary_of_a_hand_off(make_report):
    found = rows(
        make_report(
            outcome={"kind": "kernel-entry", "status": None, "detail": "reached"},
            boot_services_exited=True,
            handoff={"entry": 0x100_0200, "entered_from": 0x3000, "registers": {}},
            accesses={
                "level": "exact", "count": 12345, "reads": 12000, "writes": 345, "bytes_read": 1, "bytes_written": 2,
                "digest": "cd" * 32, "kept": False,
            },
            findings=[{"kind": "odd", "first": "what", "first_call": 1, "count": 3}],
            calls={"count": 2, "by_name": {}, "unimplemented": {"P.M": 2}},
            engine={
                "unicorn": "2.1.4", "patched": True, "recorder": "x", "blocks": 1, "deterministic": False,
            },
        )
    )  # fmt: skip
    assert ("outcome", "kernel-entry: reached") in found
    assert ("kernel entry", "0x1000200, entered from 0x3000") in found
    assert ("boot services", "exited") in found
    assert ("service calls", "2") in found
    assert ("not implemented", "P.M, called 2 times") in found
    assert ("accesses", "12,345: 12,000 reads, 345 writes") in found
    assert ("digest", "cd" * 32) in found
    assert ("finding", "odd, 3×: what") in found
    assert ("engine", "Unicorn 2.1.4, patched, 1 blocks") in found
    assert any(name == "note" and "host's clock" in text for name, text in found)


@pytest.mark.parametrize("text", [*HOSTILE, "\x1b[31m"])
@pytest.mark.parametrize("where", ["name", "version", "detail", "finding"])
def test_the_summary_shows_text_as_it_is(make_report, text, where):
    changes = {
        "name": {"payload": {"name": text}},
        "version": {"payload": {"version": text}},
        "detail": {"outcome": {"detail": text}},
        "finding": {"findings": [{"kind": "odd", "first": text, "first_call": None, "count": 1}]},
    }
    expected = {
        "name": ("payload", "{}, efi for x86_64"),
        "version": ("version", "{}"),
        "detail": ("outcome", "returned EFI_SUCCESS: {}"),
        "finding": ("finding", "odd, 1×: {}"),
    }
    name, sentence = expected[where]
    shown = text.replace("\x1b", "\\x1b")
    assert (name, sentence.format(shown)) in rows(make_report(**changes[where]))


def test_a_finding_is_one_line(make_report):
    """A payload's text must not look like lines of ours."""
    finding = {"kind": "odd", "first": "x\nengine  Unicorn 0", "first_call": None, "count": 1}
    found = rows(make_report(findings=[finding]))
    assert sum(each[0] == "engine" for each in found) == 1


@pytest.mark.parametrize(
    ("kind", "status", "colour"),
    [
        ("kernel-entry", None, "green"),
        ("returned", "EFI_SUCCESS", "green"),
        ("returned", "EFI_LOAD_ERROR", "red"),
        ("exited", "EFI_SUCCESS", "green"),
        ("exited", "EFI_ABORTED", "red"),
        ("reset", None, "yellow"),
        ("fault", None, "red"),
        ("budget", None, "red"),
    ],
)
def test_the_colour_of_an_outcome(make_report, kind, status, colour):
    table = summary_table(make_report(outcome={"kind": kind, "status": status, "detail": ""}))
    assert isinstance(table, Table)
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system="standard", highlight=False)
    console.print(table)
    code = {"green": 32, "red": 31, "yellow": 33}[colour]
    (line,) = [line for line in console.file.getvalue().splitlines() if "outcome" in line]
    assert f"\x1b[{code}m{kind}" in line


def test_the_summary_ends_with_the_folder(shown, make_report, tmp_path):
    folder = tmp_path / "[red]run\x1b"
    *_, last = shown(lambda live: live.summary(make_report(), folder))
    assert last == f"run folder: {tmp_path}/[red]run\\x1b"
