"""What the firmware measures of its own accord, in the order in which EDK2 does it (TCG PC Client PFP, section 3.3).

Its own code (PCRs 0 and 2) is not EDK2's, so nothing is made up for it: the platform may give such events.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.platform import PlatformError
from efi_services.secure_boot import keys
from efi_services.status import EfiError
from efi_services.tcg import algorithms
from efi_services.tcg.events import Event, EventType, image_load_event, variable_data

if TYPE_CHECKING:
    from collections.abc import Iterable

    from efi_services.tcg.measurer import Measurer
    from efi_services.types import Guid
    from efi_services.variables import VariableStore

CALLING = b"Calling EFI Application from Boot Option"
RETURNING = b"Returning from EFI Application from Boot Option"
EXIT_INVOCATION = b"Exit Boot Services Invocation"
EXIT_SUCCESS = b"Exit Boot Services Returned with Success"
EXIT_FAILURE = b"Exit Boot Services Returned with Failure"
_SEPARATOR = bytes(4)
#: Measured in this order, absent ones as empty.
_SECURE_BOOT = (("SecureBoot", guids.GLOBAL_VARIABLE), keys.PK, keys.KEK, keys.DB, keys.DBX)
#: Measured where they are present only.
_OPTIONAL = (keys.DBT, keys.DBR)
#: By the image's subsystem: which PCR, and which type.
_IMAGES = {
    10: (4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION),
    11: (2, EventType.EV_EFI_BOOT_SERVICES_DRIVER),
    12: (2, EventType.EV_EFI_RUNTIME_SERVICES_DRIVER),
}


def power_on(measurer: Measurer, variables: VariableStore) -> None:
    """The platform's own events, then the state of Secure Boot and PCR 7's separator; raises PlatformError."""
    platform = measurer.platform
    for ledger, settings in ((measurer.tpm, platform.tpm), (measurer.cc, platform.cc)):
        for given in settings.events if ledger is not None and settings is not None else ():
            assert ledger is not None
            event = given
            if not given.digests and given.extends:
                event = Event(given.index, given.type, algorithms.digests(ledger.algorithms, given.data), given.data)
            missing = [each.label for each in ledger.algorithms if each not in event.digests]
            if missing and event.extends:
                raise PlatformError(f"an event for register {event.index} has no digest by {', '.join(missing)}")
            measurer.measure_into(ledger, event)
    for name, vendor in _SECURE_BOOT:
        _driver_config(measurer, name, vendor, _value(variables, name, vendor) or b"")
    for name, vendor in _OPTIONAL:
        value = _value(variables, name, vendor)
        if value is not None:
            _driver_config(measurer, name, vendor, value)
    measurer.measure(7, EventType.EV_SEPARATOR, _SEPARATOR)


def variable_written(measurer: Measurer, variables: VariableStore, variable: tuple[str, Guid]) -> None:
    """A variable was written: what Secure Boot rests on is measured again, empty where it was deleted."""
    if variable in keys.ALL:
        _driver_config(measurer, *variable, variables.value(variable))


def authority(measurer: Measurer, entry: bytes) -> None:
    """The entry of db by which an image is allowed; the caller sees to it that each is told of once."""
    name, vendor = keys.DB
    measurer.measure(7, EventType.EV_EFI_VARIABLE_AUTHORITY, variable_data(vendor, name, entry))


def ready_to_boot(measurer: Measurer, variables: VariableStore) -> None:
    """The boot variables, that a boot option is tried, and the line between firmware and what it starts."""
    order = _value(variables, "BootOrder", guids.GLOBAL_VARIABLE)
    if order is not None:
        _boot_variable(measurer, "BootOrder", order)
        for (number,) in struct.iter_unpack("<H", order[: len(order) & -2]):
            option = _value(variables, f"Boot{number:04X}", guids.GLOBAL_VARIABLE)
            if option is not None:
                _boot_variable(measurer, f"Boot{number:04X}", option)
    measurer.measure(4, EventType.EV_EFI_ACTION, CALLING)
    for ledger in measurer.ledgers:
        for index in ledger.separated:
            digests = algorithms.digests(ledger.algorithms, _SEPARATOR)
            measurer.measure_into(ledger, Event(index, EventType.EV_SEPARATOR, digests, _SEPARATOR))


def next_attempt(measurer: Measurer) -> None:
    """That a boot option came back, and that the next one is tried."""
    measurer.measure(4, EventType.EV_EFI_ACTION, RETURNING)
    measurer.measure(4, EventType.EV_EFI_ACTION, CALLING)


def partition_table(measurer: Measurer, header: bytes, entries: Iterable[bytes]) -> None:
    """The GPT of the disk that is booted from: EFI_GPT_DATA, with those entries that are in use."""
    used = [each for each in entries if any(each[:16])]
    data = header + struct.pack("<Q", len(used)) + b"".join(used)
    measurer.measure(5, EventType.EV_EFI_GPT_EVENT, data)


def image(measurer: Measurer, data: bytes, subsystem: int, location: int, path: bytes) -> None:
    """An image that is about to be loaded from the file *data*, which lies at *location*; 0 where it lies nowhere."""
    if not measurer.ledgers:
        return
    pcr, kind = _IMAGES[subsystem]
    event = image_load_event(location, len(data), _link_address(data), path)
    try:
        measurer.measure_digests(pcr, kind, lambda ledger: measurer.image_digests(ledger, data), event)
    except ValueError as why:
        measurer.refuse(f"an image can't be measured: {why}")


def exit_boot_services(measurer: Measurer, *, failed: bool) -> None:
    """That somebody left boot services, or tried to."""
    for ledger in measurer.ledgers:
        # For a call that failed, EDK2's driver for TDX leaves the first one out.
        actions = (EXIT_INVOCATION, EXIT_FAILURE if failed else EXIT_SUCCESS)
        for action in actions[1 if failed and ledger.kind != "tpm" else 0 :]:
            index = ledger.index_of(5)
            assert index is not None
            digests = algorithms.digests(ledger.algorithms, action)
            measurer.measure_into(ledger, Event(index, EventType.EV_EFI_ACTION, digests, action))


def _driver_config(measurer: Measurer, name: str, vendor: Guid, value: bytes) -> None:
    measurer.measure(7, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, variable_data(vendor, name, value))


def _boot_variable(measurer: Measurer, name: str, value: bytes) -> None:
    # Its contents alone are measured, although the event tells the name too.
    data = variable_data(guids.GLOBAL_VARIABLE, name, value)
    measurer.measure(1, EventType.EV_EFI_VARIABLE_BOOT, value, data)


def _value(variables: VariableStore, name: str, vendor: Guid) -> bytes | None:
    try:
        return variables.get(name, vendor).data
    except EfiError:
        return None


def _link_address(data: bytes) -> int:
    """ImageBase of the optional header, where the file was linked to lie."""
    optional = int.from_bytes(data[0x3C:0x40], "little") + 24
    wide = data[optional : optional + 2] == b"\x0b\x02"
    at, size = (optional + 24, 8) if wide else (optional + 28, 4)
    return int.from_bytes(data[at : at + size], "little")
