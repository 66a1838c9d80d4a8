import pytest

from comparison import Reason, compare, reasons, unused
from lines import Line

FAILS = Line("a", False, "EFI_SUCCESS")
PASSES = Line("a", True, "EFI_NOT_FOUND")
REASON = Reason(("a",), "fails with EFI_SUCCESS", "EDK II", "7.2.1", "because")


def verdict(ours, theirs, *known):
    by_name = ({each.name: each} if each else {} for each in (ours, theirs))
    return [each.reason for each in compare("x86_64", *by_name, known)]


def test_two_that_pass_alike_are_the_same():
    assert verdict(PASSES, PASSES) == []


@pytest.mark.parametrize("theirs", [None, FAILS, Line("a", True, "EFI_ABORTED")])
def test_another_end_or_none_is_a_difference(theirs):
    assert verdict(PASSES, theirs) == [None]


def test_failing_alike_is_no_agreement():
    assert verdict(FAILS, FAILS) == [None]


def test_a_reason_is_for_just_one_way_to_end():
    assert verdict(PASSES, FAILS, REASON) == [REASON]
    assert verdict(PASSES, Line("a", False, "EFI_ABORTED"), REASON) == [None]
    assert verdict(FAILS, FAILS, REASON) == [None]


def test_a_reason_may_be_for_some_machines():
    only = Reason(("a",), "fails with EFI_SUCCESS", "EDK II", "7.2.1", "because", only=("arm",))
    assert verdict(PASSES, FAILS, only) == [None]


def test_a_reason_without_a_difference_is_told():
    found = compare("x86_64", {"a": PASSES}, {"a": FAILS}, [REASON])
    assert unused([REASON], found, ["x86_64"]) == []
    assert unused([REASON], found, ["x86_64", "arm"]) == ["arm: a"]


def test_those_that_are_written_down_are_whole():
    known = reasons()
    assert known
    names = [(name, machine) for each in known for name in each.checks for machine in each.only or ("all",)]
    assert len(names) == len(set(names))
    assert all(each.why.endswith(".") and each.section and each.wrong in {"EDK II", "neither"} for each in known)
