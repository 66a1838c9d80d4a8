"""Directives that run what they show, so that what a page promises is what the reader gets.

``try`` runs commands of ``efi-shim``, a line each; ``try-python`` runs a Python script. Both show what was run and
what it printed. All of a page's commands run in one temporary folder, in the page's order; ``:files:`` are copied there
first. A command that ends with another status than ``:status:`` says is a warning, which stops the build.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_LOG = logging.getLogger(__name__)
_SECONDS = 120
_folders: dict[str, tempfile.TemporaryDirectory[str]] = {}


class Try(SphinxDirective):
    """Commands and what they print."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "status": directives.nonnegative_int,
        "lines": directives.positive_int,
        "files": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """One console block for all commands."""
        # What they print is the code's doing: the page is read again at each build.
        self.env.note_reread()
        shown = []
        for line in self.content:
            program, *arguments = shlex.split(line)
            # The command that belongs to the interpreter that builds, whatever is first on PATH.
            own = Path(sys.executable).parent / program
            shown.append(f"$ {line}\n{self.shorten(self.execute([str(own), *arguments]))}")
        if status := self.options.get("status"):
            shown.append(f"$ echo $?\n{status}\n")
        return [self.block("\n".join(shown), "console")]

    def execute(self, command: list[str]) -> str:
        """What the command prints, on both streams."""
        for name in self.options.get("files", "").split():
            shutil.copy(Path(self.env.srcdir) / name, _folder(self.env.docname))
        environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
        try:
            done = subprocess.run(
                command,
                cwd=_folder(self.env.docname),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            _LOG.warning("%s: %s", command, error, location=self.get_location())
            return ""
        if done.returncode != self.options.get("status", 0):
            _LOG.warning("%s ended with %d:\n%s", command, done.returncode, done.stdout, location=self.get_location())
        return "\n".join(line.rstrip() for line in done.stdout.splitlines())

    def shorten(self, text: str) -> str:
        """The first ``:lines:`` lines."""
        lines = text.splitlines()
        most = self.options.get("lines", len(lines))
        return "\n".join([*lines[:most], *(["…"] if len(lines) > most else []), ""])

    def block(self, text: str, language: str) -> nodes.Node:
        """A code block."""
        made = nodes.literal_block(text, text, language=language)
        self.set_source_info(made)
        return made


class TryPython(Try):
    """A Python script and what it prints."""

    def run(self) -> list[nodes.Node]:
        """The script's block, and its output's where there is any."""
        self.env.note_reread()
        source = "\n".join(self.content)
        printed = self.shorten(self.execute([sys.executable, "-c", source]))
        blocks = [self.block(source, "python")]
        if printed.strip():
            blocks.append(self.block(printed, "text"))
        return blocks


def _folder(page: str) -> str:
    if page not in _folders:
        _folders[page] = tempfile.TemporaryDirectory(prefix="efi-shim-docs-")
    return _folders[page].name


def _start_page(_app: Sphinx, _env: BuildEnvironment, page: str) -> None:
    """A page that is read anew starts with an empty folder."""
    if page in _folders:
        _folders.pop(page).cleanup()


def _clean_up(_app: Sphinx, _error: Exception | None) -> None:
    while _folders:
        _folders.popitem()[1].cleanup()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("try", Try)
    app.add_directive("try-python", TryPython)
    app.connect("env-purge-doc", _start_page)
    app.connect("build-finished", _clean_up)
    return {"parallel_read_safe": False}
