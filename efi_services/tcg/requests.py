"""HashLogExtendEvent, which both protocols have in the same form (TCG EFI Protocol, 6.6; UEFI 2.10, 38.2.4)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services.status import EfiError, Status
from efi_services.tcg import algorithms, commands
from efi_services.tcg.commands import Code, Parameters, TpmError
from efi_services.tcg.events import Event, EventType

if TYPE_CHECKING:
    from efi_services.ports import Memory
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.ledger import Ledger
    from efi_services.tcg.measurer import Measurer
    from efi_services.types import Buffer

EXTEND_ONLY = 0x01
PE_COFF_IMAGE = 0x10
#: EFI_TCG2_EVENT and EFI_CC_EVENT, which are packed: size, size of the header, version, register, type.
_HEAD = struct.Struct("<IIHII")


def hash_log_extend(
    measurer: Measurer, ledger: Ledger, memory: Memory, flags: int, address: int, length: int, event: Buffer
) -> None:
    """Hash *length* bytes at *address*, extend the register that *event* names, and write the event down.

    Raises:
        EfiError: INVALID_PARAMETER, DEVICE_ERROR, UNSUPPORTED (no PE image), VOLUME_FULL.
    """
    size, header_size, _, index, kind = _HEAD.unpack(event.read(_HEAD.size))
    informs = kind == EventType.EV_NO_ACTION
    if not informs and address == 0:
        raise EfiError(Status.INVALID_PARAMETER)
    if not ledger.present:
        raise EfiError(Status.DEVICE_ERROR)
    if size < header_size + 4 or not (ledger.can_extend(index) or (informs and index == 0)):
        raise EfiError(Status.INVALID_PARAMETER)
    data = event.read(_HEAD.size + size - header_size - 4)[_HEAD.size :]
    digests: dict[Algorithm, bytes] = {}
    if not informs:
        hashed = memory.read(address, length)
        digests = _image(measurer, ledger, hashed) if flags & PE_COFF_IMAGE else _plain(ledger, hashed)
    measurer.log_extend(ledger, Event(index, kind, digests, data), write=not flags & EXTEND_ONLY)


def _plain(ledger: Ledger, hashed: bytes) -> dict[Algorithm, bytes]:
    return algorithms.digests(ledger.algorithms, hashed)


def _image(measurer: Measurer, ledger: Ledger, image: bytes) -> dict[Algorithm, bytes]:
    try:
        return measurer.image_digests(ledger, image)
    except ValueError:
        raise EfiError(Status.UNSUPPORTED) from None


def extended_by(command: bytes, response: bytes) -> tuple[str, int, dict[Algorithm, bytes]] | None:
    """What a command that the guest sent to the TPM itself extended: its name, the PCR, the digests."""
    handles = {Code.PCR_EXTEND: 1, Code.PCR_EVENT: 1, Code.EVENT_SEQUENCE_COMPLETE: 2}
    try:
        failed, made = commands.answer(response)
        tag, _, code = commands.HEADER.unpack_from(command)
        if failed or code not in handles or tag != commands.SESSIONS:
            return None
        rest = command[commands.HEADER.size :]
        pcr = int.from_bytes(rest[:4], "big")
        rest = rest[4 * handles[Code(code)] :]
        sent = rest[4 + int.from_bytes(rest[:4], "big") :]
        digests = Parameters(sent if code == Code.PCR_EXTEND else made).digests()
    except (ValueError, struct.error, TpmError):
        return None
    name = {Code.PCR_EXTEND: "Extend", Code.PCR_EVENT: "Event"}.get(Code(code))
    return f"TPM2_PCR_{name}" if name else "TPM2_EventSequenceComplete", pcr, digests
