"""The boot manager (UEFI 2.10, section 3.1): tries one choice after the other until an image succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import device_path, guids, status
from efi_services.boot.images import load_from, run_image
from efi_services.boot_choices import Choice, choices
from efi_services.dispatch import RunEnds
from efi_services.image_source import fetch
from efi_services.status import EfiError, Status
from efi_services.tcg import firmware_events
from efi_services.variables import BOOTSERVICE_ACCESS, RUNTIME_ACCESS, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from efi_services.firmware import Firmware
    from efi_services.service import Calls

_CURRENT, _NEXT = ("BootCurrent", guids.GLOBAL_VARIABLE), ("BootNext", guids.GLOBAL_VARIABLE)
_VOLATILE = BOOTSERVICE_ACCESS | RUNTIME_ACCESS


def boot(fw: Firmware, options: bytes | None, path: bytes | None = None) -> Calls[None]:
    """Boot what the variables say, or the file at *path*; the end of this generator is the end of the run.

    *options* are the image's load options, where they are not those of the boot option.
    """
    tried: Iterable[Choice] = choices(fw.variables.value, fw.disks.systems, fw.abi.name)
    if path is not None:
        tried = (Choice(None, "the file that was asked for", path),)
    result: int = Status.NOT_FOUND
    for attempt, choice in enumerate(tried):
        _announce(fw, choice, attempt)
        fw.events.signal_group(guids.EVENT_GROUP_READY_TO_BOOT)
        yield from fw.events.dispatch()
        try:
            source = yield from fetch(fw, choice.path, boot_policy=1)
            image, result = yield from load_from(fw, source, 0, "payload", choice.data if options is None else options)
        except EfiError as refusal:
            image, result = None, refusal.status
        if image is not None and image.trusted:
            result = yield from run_image(fw, image)
            if not status.is_error(result):
                raise fw.end_of(image, result)
            fw.images.unload(image)
        fw.finding("boot-option-failed", f"{_name(choice)}: {status.name(result)}")
    if result in (Status.ACCESS_DENIED, Status.SECURITY_VIOLATION) and fw.image_policy.decisions:
        raise RunEnds("refused", result, fw.image_policy.decisions[-1].reason)
    raise RunEnds("returned", result, "nothing that could be booted succeeded")


def _announce(fw: Firmware, choice: Choice, attempt: int) -> None:
    """Set BootCurrent, spend BootNext, and measure that something is tried."""
    fw.variables.drop(_CURRENT)
    if choice.number is not None:
        fw.variables.put(Variable(*_CURRENT, _VOLATILE, choice.number.to_bytes(2, "little")))
    if attempt == 0:
        fw.ready_to_boot()
    else:
        firmware_events.next_attempt(fw.measurer)
    fw.variables.drop(_NEXT)


def _name(choice: Choice) -> str:
    number = "" if choice.number is None else f"Boot{choice.number:04X} "
    return f"{number}{choice.description!r}, {device_path.to_text(choice.path)}"
