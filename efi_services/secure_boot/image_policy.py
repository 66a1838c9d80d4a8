"""What stands between a file and its being loaded as an image: its verification, and its measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.device_path import to_text
from efi_services.secure_boot import keys
from efi_services.secure_boot.execution_info import ExecutionInfo
from efi_services.secure_boot.modes import Mode
from efi_services.status import EfiError, Status
from efi_services.tcg import firmware_events

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.ports import Authenticode
    from efi_services.secure_boot.verification import Verdict

#: Decisions that are kept for people; a guest may cause any number.
MOST_DECISIONS = 1024


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on an image: its path, whether it was let through, and why."""

    image: str
    allowed: bool
    reason: str


class ImagePolicy:
    """Verifies images while Secure Boot is on, lets them pass or not, and measures those that pass."""

    def __init__(self, firmware: Firmware, authenticode: Authenticode | None) -> None:
        self._firmware = firmware
        self._authenticode = authenticode
        self._table = ExecutionInfo(firmware)
        self._measured: list[bytes] = []
        self.decisions: list[Decision] = []

    @property
    def verifies(self) -> bool:
        """Whether images are looked at: while Secure Boot is on, and in audit mode, where it changes nothing."""
        variables = self._firmware.variables
        return variables.secure_boot or variables.mode is Mode.AUDIT

    def ready_to_boot(self) -> None:
        """Let the operating system find the table of what became of images, empty as it is."""
        if self.verifies:
            self._table.publish()

    def admit(self, data: bytes, path: bytes, location: int = 0) -> None:
        """Decide on the file *data*, which lies at *location* (0 where it lies nowhere), and measure it.

        EDK2 does it in this order, so what is refused isn't measured.

        Raises:
            EfiError: ACCESS_DENIED, or SECURITY_VIOLATION where the platform wants it loaded all the same.
        """
        if self.verifies:
            self._verify(data, path)
        self._measure(data, path, location)

    def _verify(self, data: bytes, path: bytes) -> None:
        firmware = self._firmware
        verdict = self._decide(data)
        audit = firmware.variables.mode is Mode.AUDIT
        if verdict.authority is not None and verdict.authority.packed not in self._measured:
            self._measured.append(verdict.authority.packed)
            firmware_events.authority(firmware.measurer, verdict.authority.packed)
        if audit or not verdict.allowed:
            self._table.add(verdict, path, initialized=audit)
        name = to_text(path)
        if len(self.decisions) < MOST_DECISIONS:
            self.decisions.append(Decision(name, verdict.allowed, verdict.reason))
        if not verdict.allowed:
            firmware.finding("secure-boot-refused", f"{name}: {verdict.reason}")
            if not audit:
                defer = firmware.platform.secure_boot.defer
                raise EfiError(Status.SECURITY_VIOLATION if defer else Status.ACCESS_DENIED)

    def _decide(self, data: bytes) -> Verdict:
        # What reads certificates takes a while to import, and most runs need none of it.
        from efi_services.secure_boot.verification import Action, Judge, Verdict

        if self._authenticode is None:
            return Verdict(Action.SIG_FAILED, "nobody knows Authenticode here")
        value = self._firmware.variables.value
        return Judge(data, self._authenticode, value(keys.DB), value(keys.DBX), value(keys.DBT)).decide()

    def _measure(self, data: bytes, path: bytes, location: int) -> None:
        measurer = self._firmware.measurer
        if not measurer.ledgers:
            return
        try:
            subsystem = self._firmware.reader.read_image(data).subsystem
        except ValueError:
            # It is no image: there is nothing to be measured, and whoever loads it will say so.
            return
        self._firmware.disks.measure(path)
        firmware_events.image(measurer, data, subsystem, location, path)
