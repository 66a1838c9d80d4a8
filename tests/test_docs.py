"""The documentation agrees with the code, and with itself. Building it is left to ``make docs``."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from shim.trace.findings import KINDS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
#: A link or a download in Markdown: [text](target), {download}`text <target>`; not an image of a picture.
LINKS = re.compile(r"\]\(([^)\s]+)\)|<([\w./-]+\.\w+)>`")
FENCES = re.compile(r"^(`{3,}).*?^\1$", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r"_generated/([\w.-]+)")


@pytest.fixture(scope="module")
def facts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_facts", DOCS / "_ext" / "facts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchor(heading: str) -> str:
    """What MyST makes of a heading: GitHub's way."""
    text = re.sub(r"[`*]", "", heading.strip().lower())
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text))


def headings(text: str) -> set[str]:
    found = {anchor(each) for each in re.findall(r"^#+ (.+)$", FENCES.sub("", text), re.MULTILINE)}
    return found | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def whole(page: Path, facts: ModuleType) -> str:
    """A page with the fragments that it includes."""
    text = page.read_text("utf-8")
    return text + "".join(facts.FRAGMENTS[name]() for name in INCLUDED.findall(text) if name.endswith(".md"))


def test_every_verb_and_option_is_in_the_reference(facts):
    text = whole(DOCS / "cli.md", facts)
    assert facts.commands()
    for name, command in facts.commands().items():
        assert f"[`efi-shim {name}`](#efi-shim-{name})" in text
        assert f"\n### efi-shim {name}\n" in text
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden:
                assert f"| `{option.opts[0]}` | {option.help}" in text


def kinds_of_findings():
    """What the code passes to a function called finding, and the kinds that accesses have."""
    for path in (each for package in ("shim", "efi_services") for each in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1].lstrip("_") == "finding":
                kind = node.args[0]
                if isinstance(kind, ast.Constant):
                    yield kind.value
                else:
                    # It only hands on what it was given.
                    assert ast.unparse(kind) == "kind", f"{path}: which kinds are found here?"
    yield from KINDS


def test_every_kind_of_finding_is_explained():
    text = (DOCS / "findings.md").read_text("utf-8")
    kinds = set(kinds_of_findings())
    assert {"fault", "measurement-failed", "read-of-unwritten"} <= kinds
    explained = set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) | headings(text)
    assert kinds <= explained, f"not explained: {kinds - explained}"
    rows = set(re.findall(r"^\| `([a-z-]+)` \|", text.split("## About accesses")[0], re.MULTILINE))
    assert rows <= kinds, f"nothing makes these: {rows - kinds}"


def test_every_fragment_is_shown_and_every_shown_one_is_made(facts):
    shown = {name for page in DOCS.glob("*.md") for name in INCLUDED.findall(page.read_text("utf-8"))}
    assert shown == facts.FRAGMENTS.keys()


def test_every_table_row_has_as_many_cells_as_its_head(facts):
    for name, make in facts.FRAGMENTS.items():
        rows = [line for line in make().splitlines() if line.startswith("|")]
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in rows]
        for row, count, before in zip(rows[1:], cells[1:], cells, strict=False):
            # A table's head follows another table only after a blank line, and then has a ruler below it.
            assert count == before or rows[min(rows.index(row) + 1, len(rows) - 1)].startswith("| ---"), (name, row)


def test_fragments_are_the_same_each_time(facts, tmp_path):
    facts.write(tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    facts.write(tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page, facts):
    text = whole(page, facts)
    for link in (first or second for first, second in LINKS.findall(FENCES.sub("", text))):
        if re.match(r"https?:", link):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        if target.parent.name == "_generated":
            assert target.name in facts.FRAGMENTS, link
            continue
        assert target.is_file(), link
        if fragment:
            assert fragment in headings(whole(target, facts)), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_place_on_somebodys_machine(page, facts):
    for path in re.findall(r"(?<![\w.<>}])/(?:work|home|root|tmp|usr/local|mnt|opt)\b\S*", whole(page, facts)):
        pytest.fail(f"{page.name}: {path}")
