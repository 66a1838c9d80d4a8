"""What QEMU's arm64 machine virt has for its firmware in fw_cfg, read without running a CPU (docs/specs/fw_cfg.rst)."""

from __future__ import annotations

import struct
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DMA, _READ, _SELECT = 0x902_0010, 2, 8
_DIRECTORY = 0x19
#: RAM for the request and for what comes back.
_REQUEST, _DATA = 0x6000_0000, 0x6000_1000


def files(program: str, machine: str, cpu: str, folder: Path) -> dict[str, bytes]:
    """All files by name. QEMU is told that there is a firmware: it shows devices that only ACPI tells of, then."""
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
            request = struct.pack(">IIQ", key << 16 | _SELECT | _READ, size, _DATA)
            ask(f"write {_REQUEST:#x} {len(request)} 0x{request.hex()}")
            # The register is big-endian; setting its lower half starts the transfer.
            ask(f"writeq {_DMA:#x} {int.from_bytes(_REQUEST.to_bytes(8, 'big'), 'little'):#x}")
            return bytes.fromhex(ask(f"read {_DATA:#x} {size:#x}")[0].removeprefix("0x"))

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
