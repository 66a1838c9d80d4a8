"""What systemd reads: its userspace log (RFC 7464), and component files of systemd-pcrlock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.events import EventType, type_name
from shim.measure.formats.common import canonical, hash_list, pcrs_of, pretty
from shim.measure.formats.fields import describe, fields

if TYPE_CHECKING:
    from efi_services.tcg.events import Event
    from shim.measure.model import Measured

RECORD_SEPARATOR = b"\x1e"
#: A boot that has not happened has no ID and no time.
_NO_BOOT = "0" * 32

#: Components that systemd's own files stand between, so that ours come in their places (man systemd-pcrlock).
_BY_TYPE: dict[int, str] = {
    EventType.EV_EFI_VARIABLE_BOOT: "250-firmware-config-early",
    EventType.EV_EFI_VARIABLE_BOOT2: "250-firmware-config-early",
    EventType.EV_EFI_GPT_EVENT: "600-gpt",
    EventType.EV_EFI_VARIABLE_AUTHORITY: "620-secureboot-authority",
    EventType.EV_EFI_BOOT_SERVICES_APPLICATION: "650-kernel",
    EventType.EV_IPL: "650-uki",
    EventType.TXT_EVTYPE_SLAUNCH: "740-dynamic-launch",
}
_BY_TEXT = {
    "Calling EFI Application from Boot Option": "350-action-efi-calling",
    "Exit Boot Services Invocation": "700-action-efi-exit-boot-services",
    "Exit Boot Services Returned with Success": "700-action-efi-exit-boot-services",
    "Exit Boot Services Returned with Failure": "700-action-efi-exit-boot-services",
    "LOADED_IMAGE::LoadOptions": "710-kernel-cmdline",
    "Linux initrd": "720-kernel-initrd",
}
_FIRMWARE = {0: "code", 1: "config", 2: "code", 3: "config"}


def userspace_log(measured: Measured) -> bytes:
    """Every event as a record of /run/log/systemd/tpm2-measure.log."""
    records = []
    for event in pcrs_of(measured, "systemd").events:
        if not event.extends:
            continue
        # eventType is left out: systemd's own names are all about userspace.
        content = {"string": describe(event) or type_name(event.type), "bootId": _NO_BOOT, "timestamp": 0}
        record = {"pcr": event.index, "digests": hash_list(event), "content_type": "systemd", "content": content}
        records.append(RECORD_SEPARATOR + canonical(record).encode() + b"\n")
    return b"".join(records)


def components(measured: Measured) -> dict[str, bytes]:
    """Component files by name; PCRs whose events are not all known are in none of them."""
    pcrs = pcrs_of(measured, "pcrlock")
    records: dict[str, list[dict[str, object]]] = {}
    last: dict[int, str] = {}
    for event in pcrs.events:
        if not event.extends or event.index in pcrs.unknown or event.index in pcrs.given:
            continue
        # systemd-pcrlock extends in the order of the files' names: a PCR must never go back.
        name = max(_component(event, last.get(event.index, "")), last.get(event.index, ""))
        last[event.index] = name
        records.setdefault(name, []).append({"pcr": event.index, "digests": hash_list(event)})
    return {f"{name}.pcrlock": pretty({"records": records[name]}) for name in sorted(records)}


def _component(event: Event, last: str) -> str:
    """Where an event belongs; *last* is where its PCR was before."""
    said = fields(event)
    if (found := _BY_TEXT.get(said.get("text", ""))) is not None:
        return found
    if event.type == EventType.EV_SEPARATOR:
        return "400-secureboot-separator" if event.index == 7 else "500-separator"
    if event.type == EventType.EV_EFI_VARIABLE_DRIVER_CONFIG and event.index == 7:
        return "240-secureboot-policy"
    if (found := _BY_TYPE.get(event.type)) is not None:
        return found
    if event.index in _FIRMWARE:
        late = last >= "500-separator"
        return f"{'550' if late else '250'}-firmware-{_FIRMWARE[event.index]}-{'late' if late else 'early'}"
    return last or "730-other"
