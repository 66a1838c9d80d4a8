"""The events of a machine's own firmware, from the log that the machine wrote."""

from __future__ import annotations

from efi_services.tcg.events import EventType, type_name
from efi_services.tcg.log import decode

#: From here on the events are those that our firmware makes itself.
_OURS = (
    EventType.EV_SEPARATOR,
    EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
    EventType.EV_EFI_VARIABLE_BOOT,
    EventType.EV_EFI_VARIABLE_BOOT2,
    EventType.EV_EFI_ACTION,
)


def events_of(data: bytes, registers: tuple[int, ...], key: str) -> list[dict[str, object]]:
    """The events of these *registers*, as a platform's file has them; *key* names the register in each.

    Raises:
        ValueError: it is no binary log, has none of these registers, or events that only the machine can place.
    """
    found: list[dict[str, object]] = []
    begun: set[int] = set()
    for number, event in enumerate(decode(data).events):
        if event.index not in registers or not event.extends:
            continue
        if event.type in _OURS:
            begun.add(event.index)
        elif event.index in begun:
            raise ValueError(f"event {number}, {type_name(event.type)}, comes when this firmware's own have begun")
        else:
            digests = {algorithm.label: digest.hex() for algorithm, digest in event.digests.items()}
            found.append({key: event.index, "type": event.type, "data": event.data.hex(), "digests": digests})
    if not found:
        raise ValueError("it has no event of the firmware's own")
    return found
