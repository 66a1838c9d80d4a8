"""What an earlier kernel leaves to the next one, where one follows the other without a reset (kexec)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from efi_services.secure_boot.modes import Mode
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event
    from efi_services.variables import Variable


@dataclass(frozen=True, slots=True)
class Resumed:
    """EFI variables with Secure Boot's mode, and by kind of registers (tpm, tdx, cca) their values and their logs."""

    variables: tuple[Variable, ...]
    mode: Mode
    registers: Mapping[str, Mapping[int, Mapping[Algorithm, bytes]]] = field(default_factory=dict)
    events: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
