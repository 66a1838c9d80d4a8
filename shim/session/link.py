"""What makes a run the next link of a chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efi_services.resume import Resumed
    from shim.config import run as report


@dataclass(frozen=True, slots=True)
class Link:
    """*resumed* is what the earlier kernel left, *handed_over* what it has put into memory: name, address, bytes."""

    resumed: Resumed
    handed_over: tuple[tuple[str, int, bytes], ...]
    chain: tuple[report.ChainLink, ...]
    kexec: report.Kexec
