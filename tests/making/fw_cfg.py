"""What QEMU's machines have for their firmware in fw_cfg, read without running a CPU (docs/specs/fw_cfg.rst)."""

from __future__ import annotations

import struct
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How the lower half of the register for DMA is set, by the machine's kind; setting it starts the transfer.
_DMA = {"virt": "writel 0x9020014", "q35": "outl 0x518"}
_READ, _SELECT = 2, 8
_DIRECTORY = 0x19
#: RAM for the request and for what comes back, from the start of RAM.
_REQUEST, _DATA = 0x2000_0000, 0x2000_1000
_RAM = {"virt": 0x4000_0000, "q35": 0}
#: What firmware does before it asks, since tables tell of it: the PC's registers of ACPI are at ports from 0x600.
_SET_UP = {"virt": (), "q35": ("outl 0xcf8 0x8000f840", "outl 0xcfc 0x601", "outl 0xcf8 0x8000f844", "outb 0xcfc 0x80")}


def files(program: str, machine: str, cpu: str, folder: Path) -> dict[str, bytes]:
    """All files by name. QEMU is told that there is a firmware: it shows devices that only ACPI tells of, then."""
    kind = next(each for each in _DMA if each in machine)
    request, data = _RAM[kind] + _REQUEST, _RAM[kind] + _DATA
    (folder / "firmware").write_bytes(bytes(1 << 20))
    command = [program, "-S", "-machine", machine, "-cpu", cpu, "-m", "1G", "-display", "none", "-nodefaults"]
    command += ["-bios", str(folder / "firmware"), "-qtest", "stdio", "-qtest-log", "none"]
    with _started(command) as (asked, answers):

        def ask(text: str) -> list[str]:
            asked.write(text + "\n")
            asked.flush()
            status, *values = answers.readline().split()
            assert status == "OK", values
            return values

        def read(key: int, size: int) -> bytes:
            asked_for = struct.pack(">IIQ", key << 16 | _SELECT | _READ, size, data)
            ask(f"write {request:#x} {len(asked_for)} 0x{asked_for.hex()}")
            # The register is big-endian.
            ask(f"{_DMA[kind]} {int.from_bytes(request.to_bytes(4, 'big'), 'little'):#x}")
            return bytes.fromhex(ask(f"read {data:#x} {size:#x}")[0].removeprefix("0x"))

        for each in _SET_UP[kind]:
            ask(each)
        (count,) = struct.unpack(">I", read(_DIRECTORY, 4))
        directory = read(_DIRECTORY, 4 + 64 * count)
        entries = [struct.unpack_from(">IHH56s", directory, 4 + 64 * i) for i in range(count)]
        return {name.split(b"\0")[0].decode(): read(key, size) for size, key, _, name in entries if size}


@contextmanager
def _started(command: list[str]) -> Iterator[tuple[IO[str], IO[str]]]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        process.kill()
        process.communicate()
