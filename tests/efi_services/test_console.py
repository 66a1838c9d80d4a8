import pytest

from efi_services import console
from efi_services.console import Console


def test_text_is_kept_with_newlines():
    made = Console()
    for part in ("Hello\r\n", "wor", "ld\r", "\n"):
        made.write(part)
    assert made.text == "Hello\nworld\n"
    assert made.dropped == 0


@pytest.mark.parametrize(
    ("text", "column", "row"),
    [
        ("abc", 3, 0), ("abc\r", 0, 0), ("abc\n", 3, 1), ("a\b\b", 0, 0), ("x" * 79, 79, 0), ("x" * 80, 0, 1),
        ("x" * 85, 5, 1), ("\n" * 30, 0, 24), ("x" * 80 * 30, 0, 24),
    ],
)  # fmt: skip
def test_the_cursor(text, column, row):
    made = Console()
    made.write(text)
    assert (made.column, made.row) == (column, row)


def test_a_payload_that_prints_for_ever(monkeypatch):
    monkeypatch.setattr(console, "MAX_KEPT", 10)
    made = Console()
    for _ in range(1000):
        made.write("abc")
    assert made.text == "abcabcabca"
    assert made.dropped == 2990
    assert len(made._parts) == 4
