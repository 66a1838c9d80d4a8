"""A run of which nobody wants to be told: it does without the library that draws, which takes a while to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from shim.config.run import RunReport
    from shim.report.live import Live
    from shim.session.request import Progress


class Quiet:
    """Stands where a `Live` could stand, and says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be said."""

    def say(self, text: str) -> None:
        """Not a line of progress."""

    def console(self, text: str) -> None:
        """Not what the guest printed."""

    def progress(self, progress: Progress) -> None:
        """Not how far the run has come."""

    def summary(self, report: RunReport, folder: Path) -> None:
        """Not the run in a few lines."""


def live_unless(quiet: bool) -> Live | Quiet:
    """Who tells of a run."""
    if quiet:
        return Quiet()
    from shim.report.live import Live

    return Live()
