"""Measurement registers: what they begin with, who may extend and reset them, what a log comes to.

PCRs as TCG PC Client Platform TPM Profile has them (section 4.6.2, table 6), and the registers of confidential
computing, whose PCR numbers UEFI 2.10 section 38.4.1 maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event

PCRS = 24
#: PCRs of the dynamic root of trust: all ones until it resets them.
DYNAMIC = range(17, 23)
#: Which localities may extend a PCR; all may where none is said.
_EXTENDED_BY = {17: {2, 3, 4}, 18: {2, 3, 4}, 19: {2, 3}, 20: {1, 2, 3}, 21: {2}, 22: {2}}
#: Which localities may reset a PCR by TPM2_PCR_Reset; none may where none is said.
_RESET_BY = {16: {0, 1, 2, 3, 4}, 20: {2, 4}, 21: {2}, 22: {2}, 23: {0, 1, 2, 3, 4}}
_LOCALITY_EVENT = b"StartupLocality\0"


class LocalityError(ValueError):
    """A locality may not do that to a PCR."""


class Pcrs:
    """The PCRs of a TPM in each of its banks."""

    def __init__(self, algorithms: tuple[Algorithm, ...], startup_locality: int = 0) -> None:
        self.algorithms = algorithms
        self._values = {
            each: [bytes([0xFF] * each.size) if index in DYNAMIC else bytes(each.size) for index in range(PCRS)]
            for each in algorithms
        }
        for each in algorithms:
            self._values[each][0] = startup_locality.to_bytes(each.size, "big")

    def value(self, algorithm: Algorithm, index: int) -> bytes:
        """What a PCR holds in a bank."""
        return self._values[algorithm][index]

    def extend(self, index: int, digests: dict[Algorithm, bytes], locality: int = 0) -> None:
        """Extend *digests* in their banks; raises LocalityError."""
        if locality not in _EXTENDED_BY.get(index, range(5)):
            raise LocalityError(f"locality {locality} may not extend PCR {index}")
        for algorithm, digest in digests.items():
            values = self._values.get(algorithm)
            if values is not None:
                values[index] = algorithm.extend(values[index], digest)

    def reset(self, index: int, locality: int = 0) -> None:
        """TPM2_PCR_Reset; raises LocalityError."""
        if locality not in _RESET_BY.get(index, ()):
            raise LocalityError(f"locality {locality} may not reset PCR {index}")
        for algorithm, values in self._values.items():
            values[index] = bytes(algorithm.size)

    def resume(self, values: Mapping[int, Mapping[Algorithm, bytes]]) -> None:
        """Hold these values."""
        for index, banks in values.items():
            for algorithm, value in banks.items():
                self._values[algorithm][index] = value

    def launch(self, measured: bytes) -> None:
        """A dynamic launch (_TPM_Hash_Start to _TPM_Hash_End): PCRs 17 to 22 anew, and *measured* into 17."""
        for algorithm, values in self._values.items():
            for index in DYNAMIC:
                values[index] = bytes(algorithm.size)
            values[17] = algorithm.extend(values[17], algorithm.digest(measured))


def replay(
    events: Iterable[Event], algorithms: tuple[Algorithm, ...], *, dynamic: bool = False
) -> dict[int, dict[Algorithm, bytes]]:
    """What the registers hold that a log extends, by index.

    All begin with zeroes, PCRs of the dynamic launch included if *dynamic* says that there was one; a
    StartupLocality event gives PCR 0 another beginning, unless PCR 0 was extended by then.
    """
    registers: dict[int, dict[Algorithm, bytes]] = {}

    def register(index: int) -> dict[Algorithm, bytes]:
        if index not in registers:
            ones = index in DYNAMIC and not dynamic
            registers[index] = {each: (b"\xff" if ones else b"\0") * each.size for each in algorithms}
        return registers[index]

    for event in events:
        if not event.extends:
            if 0 not in registers and event.data.startswith(_LOCALITY_EVENT) and len(event.data) > 16:
                registers[0] = {each: event.data[16].to_bytes(each.size, "big") for each in algorithms}
            continue
        values = register(event.index)
        for algorithm in algorithms:
            if algorithm in event.digests:
                values[algorithm] = algorithm.extend(values[algorithm], event.digests[algorithm])
    return dict(sorted(registers.items()))


#: Measurement registers by MR index, as EFI_CC_MEASUREMENT_PROTOCOL counts them.
MR_NAMES = {
    "tdx": ("MRTD", "RTMR0", "RTMR1", "RTMR2", "RTMR3"),
    "cca": ("RIM", "REM0", "REM1", "REM2", "REM3"),
}


def mr_of_pcr(pcr: int) -> int | None:
    """The MR index of a PCR (UEFI 2.10, section 38.4.1); None where no register stands for it."""
    match pcr:
        case 0:
            return 0
        case 1 | 7:
            return 1
        case 2 | 3 | 4 | 5 | 6:
            return 2
        case _ if 8 <= pcr <= 15:
            return 3
    return None
