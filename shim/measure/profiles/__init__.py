"""Ways in which a boot comes to be measured: each makes a `Measured` of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shim.errors import UsageError
from shim.measure.profiles import drtm, exact, firmware, xen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shim.measure.model import Measured
    from shim.trace.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Profile:
    """A way of measuring: *doc* says what it stands for, *options* what can be set, with their meaning."""

    name: str
    doc: str
    build: Callable[[RunFolder, Mapping[str, str]], Measured]
    options: Mapping[str, str] = field(default_factory=dict)

    def measure(self, run: RunFolder, given: Mapping[str, str]) -> Measured:
        """What *run* measures; raises UsageError for an option that the profile doesn't have."""
        for name in given:
            if name not in self.options:
                raise UsageError(
                    f"profile {self.name} has no option {name!r}; it has {', '.join(self.options) or 'none'}"
                )
        return self.build(run, given)


PROFILES = {
    each.name: each
    for each in (
        Profile("firmware", "what firmware and stub measured in the run itself", firmware.build),
        Profile("drtm", "a dynamic launch after the hand-off, as TrenchBoot does it", drtm.build, drtm.OPTIONS),
        Profile("exact", "whatever the stub took from outside itself, in one register", exact.build, exact.OPTIONS),
        Profile("xen", "the kernel, command line and initrd, as Xen's pv-grub measures them", xen.build, xen.OPTIONS),
    )
}
