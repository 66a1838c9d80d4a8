"""A kernel on real firmware: QEMU with EDK2 and swtpm, and what its initramfs wrote to the console."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import selectors
import shutil
import subprocess
import tarfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from virt.firmware.efi.devpath import DevicePath
from virt.firmware.efi.efivar import EfiVarList
from virt.firmware.varstore.edk2 import Edk2VarStore

from efi_services.device_path import END as END_OF_PATH
from efi_services.device_path import file_path
from initramfs import BEGIN, END

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for a boot; emulated, on a busy machine.
LIMIT_S = 300
#: A console that says more is of no boot.
MOST_CONSOLE = 32 << 20
MOST_ARCHIVE = 64 << 20
#: The end of what a kernel says when it has faulted.
FAULT = b"---[ end "


class Failed(Exception):
    """A boot did not come to its end, or something that it needs is missing; in one line."""


@dataclass(frozen=True)
class Board:
    """A machine of QEMU's with its firmware, and the platform of ours that is like it."""

    platform: str
    qemu: str
    machine: tuple[str, ...]
    console: str
    #: Where Debian's packages have the firmware: code, and the variables that it begins with.
    firmware: tuple[str, str]
    #: A file with a store of variables, as the firmware's are laid out.
    layout: str
    name: str
    packages: str


BOARDS = {
    "amd64": Board(
        platform="q35-tpm",
        qemu="qemu-system-x86_64",
        # With instructions counted, interrupts come between blocks of code. Without, QEMU 7.2 gives kernels wrong flags
        # after some, and three boots out of five end in a fault.
        machine=("-machine", "q35,accel=tcg", "-icount", "shift=auto,sleep=off", "-device", "tpm-tis,tpmdev=tpm"),
        console="ttyS0",
        firmware=("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        layout="/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
        name="q35 with OVMF",
        packages="qemu-system-x86 ovmf swtpm tpm2-tools",
    ),
    "arm64": Board(
        platform="virt-arm64-tpm",
        qemu="qemu-system-aarch64",
        machine=("-machine", "virt,accel=tcg", "-cpu", "cortex-a57", "-device", "tpm-tis-device,tpmdev=tpm"),
        console="ttyAMA0",
        firmware=("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        layout="/usr/share/AAVMF/AAVMF_VARS.ms.fd",
        name="virt with AAVMF",
        packages="qemu-system-arm qemu-efi-aarch64 swtpm tpm2-tools",
    ),
}


def check(board: Board) -> None:
    """Raise Failed where something that the board needs is not installed."""
    tools = all(shutil.which(each) for each in (board.qemu, "swtpm", "tpm2_eventlog"))
    if not tools or not all(map(os.path.isfile, (*board.firmware, board.layout))):
        raise Failed(f"install the packages {board.packages}")


def boot_directly(board: Board, kernel: Path, initrd: Path, cmdline: str, folder: Path) -> dict[str, bytes]:
    """Let the firmware start what ``-kernel`` names, and give the files that the guest collected; raises Failed."""
    shutil.copy(board.firmware[1], folder / "variables.fd")
    return _boot(board, ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline], folder)


def boot_by_entry(board: Board, kernel: Path, initrd: Path, cmdline: str, folder: Path) -> dict[str, bytes]:
    """Let the firmware's boot manager start it: a boot entry names the kernel on a disk, and says the command line."""
    disk = folder / "disk"
    disk.mkdir()
    shutil.copy(kernel, disk / "kernel.efi")
    shutil.copy(initrd, disk / "initrd")
    variables = str(folder / "variables.fd")
    # An empty store, laid out as that of a file that is none: Debian's plain file for AAVMF is blank.
    store = Edk2VarStore(board.layout)
    listed = EfiVarList()
    path = DevicePath(file_path("\\kernel.efi") + END_OF_PATH)
    listed.set_boot_entry(1, "Linux", path, f"{cmdline}\0".encode("utf-16-le"))
    listed.append_boot_order(1)
    store.write_varstore(variables, listed)
    drive = f"if=none,id=disk,format=raw,readonly=on,file=fat:{disk}"
    return _boot(board, ["-drive", drive, "-device", "virtio-blk-pci,drive=disk,romfile="], folder)


def _boot(board: Board, arguments: list[str], folder: Path) -> dict[str, bytes]:
    with swtpm(folder) as socket:
        common = [
            board.qemu, *board.machine, "-m", "1G", "-display", "none", "-nodefaults", "-nic", "none", "-no-reboot",
            "-serial", "stdio", "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={board.firmware[0]}",
            "-drive", f"if=pflash,format=raw,unit=1,file={folder / 'variables.fd'}",
            "-chardev", f"socket,id=tpmctl,path={socket}", "-tpmdev", "emulator,id=tpm,chardev=tpmctl",
        ]  # fmt: skip
        console = console_of(common + arguments)
    (folder / "console").write_bytes(console)
    return collected(console)


def collected(console: bytes) -> dict[str, bytes]:
    """The files in the archive on a console, by path; raises Failed where there is none that is whole."""
    begin = console.rfind(BEGIN)
    end = console.find(END, begin)
    if begin < 0 or end < 0:
        said = console.decode("utf-8", "replace").splitlines()[-5:]
        raise Failed(f"the guest wrote no archive; its last words: {' / '.join(map(ascii, said))}")
    head, _, text = console[begin + len(BEGIN) : end].partition(b"\n")
    try:
        packed = base64.b64decode(text)
        if hashlib.sha256(packed).hexdigest().encode() != head[:64]:
            raise Failed("the guest's archive is damaged")
        found, left = {}, MOST_ARCHIVE
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None:
                    continue
                data = content.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise Failed("the guest's archive is too large")
                found["/".join(PurePosixPath(member.name).parts)] = data
    except (binascii.Error, tarfile.TarError, EOFError, OSError) as error:
        raise Failed(f"the guest's archive is damaged: {error}") from None
    return found


@contextmanager
def swtpm(folder: Path) -> Iterator[Path]:
    """A new TPM of its own, at a socket."""
    state, socket = folder / "tpm", folder / "tpm.sock"
    state.mkdir()
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state},mode=0600", "--ctrl", f"type=unixio,path={socket}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise Failed("swtpm did not start")
            time.sleep(0.05)
        yield socket
    finally:
        process.terminate()
        process.wait()


def console_of(arguments: list[str], limit_s: float = LIMIT_S, ends: bytes = FAULT) -> bytes:
    """What a QEMU writes to its standard output until it ends, has said *ends*, or is ended after so many seconds."""
    until, said = time.monotonic() + limit_s, bytearray()
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0 and len(said) < MOST_CONSOLE and ends not in said:
                if selector.select(left):
                    data = os.read(process.stdout.fileno(), 1 << 16)
                    if not data:
                        break
                    said += data
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return bytes(said)
