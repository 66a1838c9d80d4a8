import pytest

from lines import Broken, Line, checks

CONSOLE = "\x1b[2J\x1b[01;01HBdsDxe: starting\r\nPASS A.b: EFI_SUCCESS\r\nabc\r\nFAIL A.c\r\n2 checks, 1 failed\r\n"
LEFT = "PASS B.a: EFI_NOT_FOUND or EFI_LOAD_ERROR\n1 checks after ExitBootServices, 0 failed\n"


def test_checks_of_both_parts_in_their_order():
    assert list(checks(CONSOLE, LEFT).values()) == [
        Line("A.b", True, "EFI_SUCCESS"),
        Line("A.c", False, ""),
        Line("B.a", True, "EFI_NOT_FOUND or EFI_LOAD_ERROR"),
    ]


def test_how_a_check_ended_in_words():
    assert [str(each) for each in checks(CONSOLE, LEFT).values()][:2] == ["passes with EFI_SUCCESS", "fails"]


@pytest.mark.parametrize(
    ("console", "left", "why"),
    [
        (CONSOLE, "", "None"),
        (CONSOLE.replace("PASS A.b: EFI_SUCCESS\r\n", ""), LEFT, "count"),
        (CONSOLE.replace("1 failed", "0 failed"), LEFT, "count"),
        (CONSOLE, LEFT.replace("B.a", "A.c"), "twice"),
    ],
)
def test_lines_that_are_not_whole(console, left, why):
    with pytest.raises(Broken, match=why):
        checks(console, left)
