"""The programs that check a firmware from inside: what their lines are like, and what is left for the next run."""

from __future__ import annotations

import json
import re

import pytest

import emulated
import lines
from shim.config.platform import VariableSettings

#: PASS, the service or the protocol, what about it, and the status where there is one.
LINE = re.compile(r"PASS [A-Z]\w+(\.[\w-]+)+(: (EFI_[A-Z_]+( or EFI_[A-Z_]+)?|an error))?")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The console of a run, and what it left."""
    report, left = emulated.run("x86_64", tmp_path_factory.mktemp("selftest"))
    return report.console, left


def test_all_checks_pass_and_each_has_a_name_of_its_own(first):
    found = lines.checks(*first)
    assert len(found) > 1100
    assert all(each.passed for each in found.values())


def test_no_line_is_folded_by_a_console_of_80_columns(first):
    console, left = first
    assert max(map(len, console.splitlines())) < 80
    for each in (console + left).splitlines():
        assert LINE.fullmatch(each) or not each.startswith(("PASS", "FAIL"))


def test_nothing_of_the_machine_is_in_the_lines(first, tmp_path):
    smaller = emulated.platform_of("x86_64").with_memory(128 << 20)
    report, left = emulated.run("x86_64", tmp_path, smaller)
    assert (report.console, left) == first


def test_the_next_run_prints_what_was_found_without_a_console(first, tmp_path):
    _, left = first
    variable = VariableSettings(name=lines.VARIABLE, vendor=lines.VENDOR, data=left.encode().hex())
    platform = emulated.platform_of("x86_64").model_copy(update={"variables": (variable,)})
    report, again = emulated.run("x86_64", tmp_path, platform)
    printed = [each for each in report.console.splitlines() if each.startswith("last run: ")]
    assert printed == [f"last run: {each}" for each in left.splitlines()]
    assert again == left


def test_what_a_machine_lacks_is_named_and_left_out(command):
    bare = command("run", "program:selftest_protocols", "--platform", "bare-x86_64", "--json", "--out", "run")
    console = json.loads(bare.out)["console"]
    assert {each for each in console.splitlines() if each.endswith("not checked.")} == {
        "No TPM 2.0 here: its protocol is not checked.",
        "No UnicodeCollation2 here: collation is not checked.",
        "No human interface infrastructure here: it is not checked.",
        "No file system holds this image: files and disks are not checked.",
    }
