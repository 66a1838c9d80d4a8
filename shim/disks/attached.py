"""The disks of a run: opened when it begins, and known by their digests from then on."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from efi_services import device_path
from efi_services.ports import Disk
from shim.config.platform import DiskSettings
from shim.disks.folder import open_folder
from shim.disks.image import DiskImage
from shim.disks.virtual import VirtualDisk
from shim.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from shim.config.platform import Platform


class Attached:
    """The open disks of a platform; *platform* tells of them by their digests.

    *left_out* are files that the guest doesn't see.
    """

    def __init__(self, platform: Platform) -> None:
        self.ports: tuple[Disk, ...] = ()
        self.left_out: list[str] = []
        self._closing = ExitStack()
        self._machine = platform.machine
        known: list[DiskSettings] = []
        try:
            for number, settings in enumerate(platform.disk):
                known.append(self._attach(number, settings))
        except BaseException:
            self.close()
            raise
        self.platform = platform.with_disks(known)

    def close(self) -> None:
        """Let go of the host's files."""
        self._closing.close()

    def _attach(self, number: int, settings: DiskSettings) -> DiskSettings:
        if settings.path is None:
            raise UsageError(f"disk {number} of the platform is known by its digest only; say where it is with --disk")
        place = _place(self._machine, number)
        if settings.image is not None:
            image = DiskImage(settings.path)
            self._closing.callback(image.close)
            self.ports = (*self.ports, Disk(place, image))
            return DiskSettings(kind="image", sha256=image.digest)
        tree = open_folder(settings.path)
        self._closing.callback(tree.close)
        self.left_out += tree.left_out
        self.ports = (*self.ports, Disk(place, VirtualDisk(tree)))
        return DiskSettings(kind="folder", sha256=tree.digest)


def settings_of(path: Path) -> DiskSettings:
    """A disk by its path: a folder is one, any other file is an image."""
    return DiskSettings(folder=str(path)) if path.is_dir() else DiskSettings(image=str(path))


def _place(machine: str, number: int) -> bytes:
    """Where QEMU has a machine's disks: at q35's own SATA controller, and on other machines each as a PCI device."""
    if machine == "x86_64" and number < 6:
        return device_path.pci(0, 0x1F, 2) + device_path.sata(number)
    return device_path.pci(0, 3 + number, 0)
