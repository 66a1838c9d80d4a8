from judge import Row, Verdict
from report import Comparison, Section, page


def test_a_page():
    rows = (Row("a|b <c>", Verdict.EQUAL, "[1]"), Row("d", Verdict.UNEXPLAINED, "why `not`"))
    made = page("board", [Comparison("kernel", (("Kernel", "6.12"),), (Section("Log", rows),))])
    lines = made.splitlines()
    assert "## kernel" in lines
    assert "* Kernel: 6.12" in lines
    assert "| Log | 1 | 1 |" in lines
    assert "| a\\|b \\<c> | equal | \\[1] |" in lines
    assert "| d | **unexplained** | why \\`not\\` |" in lines
