"""What the stub that jumped to the kernel had been given, for the verdicts on what it handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.ports import MemoryFault
from efi_services.protocols.loaded_image import LoadedImage
from efi_services.tcg.algorithms import Algorithm
from shim.handoff.verdicts.rule import Given
from shim.loader import LoadableImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from efi_services.firmware import Firmware
    from efi_services.tcg.piece import Piece
    from payloads import Payload
    from shim.machine.ram import Ram

#: No image has longer ones.
_MOST_OPTIONS = 1 << 17


def collect(firmware: Firmware, ram: Ram, left_from: int, inputs: Sequence[Piece], *, from_disk: bool) -> Given:
    """What the image at *left_from* was given; *inputs* are the pieces that the guest got from outside."""
    by_guest = next((each for each in firmware.images.by_guests if each.base <= left_from < each.end), None)
    if by_guest is not None:
        return Given(_file(by_guest.file), by_guest.base)
    image = next((each for each in firmware.images if each.base <= left_from < each.end), None)
    if image is None:
        return Given()
    # Another program may offer an initrd of its own, and a stub may read one from files.
    only = (
        len(list(firmware.images)) == 1 and not from_disk and not any(each.name.startswith("file ") for each in inputs)
    )
    handed_out = [each for each in inputs if each.name == "initrd"]
    initrd = handed_out[-1].digests[Algorithm.SHA256].hex() if handed_out else ""
    parent = next((each for each in firmware.images if each.handle == image.parent), None)
    return Given(
        _file(image.file),
        image.base,
        _options(firmware, ram, image.interface),
        initrd if only else None,
        None if parent is None else _file(parent.file),
    )


def _file(file: object) -> Payload | None:
    return file.payload if isinstance(file, LoadableImage) else None


def _options(firmware: Firmware, ram: Ram, interface: int) -> bytes | None:
    """The load options as the image's protocol has them: whoever loaded it may have put them there."""
    try:
        loaded = LoadedImage.unpack(firmware.abi, bytes(ram.view(interface, LoadedImage.sizeof(firmware.abi))))
        if not loaded.load_options:
            return b""
        return bytes(ram.view(loaded.load_options, min(loaded.load_options_size, _MOST_OPTIONS)))
    except MemoryFault:
        return None
