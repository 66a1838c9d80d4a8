"""From a file or its bytes to a ``Payload``."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from payloads.errors import Unreadable
from payloads.model import MAX_FILE_BYTES, Kind, Payload

if TYPE_CHECKING:
    from pathlib import Path

    from payloads.model import LinuxHeader, PeImage

_EFI_APPLICATION = 10
_CHUNK_BYTES = 16 << 20


def identify(data: bytes, name: str, path: Path | None = None, sha256: str | None = None) -> Payload:
    """Recognise a payload by its bytes.

    Args:
        data: the whole file.
        name: what the payload is called in results: a catalogue name or the file's base name.
        path: where it came from, if it came from a file.
        sha256: its hash in hex, where that is known already.

    Raises:
        NotRunnable: it is no payload that can be run; the message says why.
    """
    # here, so that importing the package costs nothing until something is to be read
    from payloads.pe import read_image

    image = read_image(data)
    kind, linux, version = _recognise(data, image)
    return Payload(
        name=name,
        path=path,
        data=data,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        kind=kind,
        machine=image.machine,
        version=version,
        image=image,
        linux=linux,
    )


def open_payload(where: Path, name: str | None = None) -> Payload:
    """Read a file and recognise it.

    Args:
        where: the file.
        name: what it is called in results; its base name when left out.

    Raises:
        Unreadable: the file can't be read, or is no regular file, or is too big.
        NotRunnable: it is no payload that can be run.
    """
    return identify(read_file(where), name or where.name, where)


def read_file(where: Path) -> bytes:
    """The bytes of a file that may be a payload; raises Unreadable."""
    try:
        # O_NONBLOCK: a FIFO without a writer must not hang us
        descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = _read_regular(descriptor, where)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unreadable(f"{where}: {error.strerror}") from None
    except ValueError as error:
        raise Unreadable(f"{str(where)!r}: {error}") from None
    return data


def _read_regular(descriptor: int, where: Path) -> bytes:
    """Read an open file to its end, if it is a regular one of tolerable size; a size of 0 may not be the truth."""
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable(f"{where}: it is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(f"{where}: it is no regular file")
    chunks: list[bytes] = []
    total = status.st_size
    # One chunk where the size is the truth: there is nothing to join, then.
    size = max(status.st_size + 1, _CHUNK_BYTES)
    while total <= MAX_FILE_BYTES and (chunk := os.read(descriptor, size)):
        chunks.append(chunk)
        total = max(status.st_size, sum(map(len, chunks)))
    if total > MAX_FILE_BYTES:
        raise Unreadable(f"{where}: it is bigger than {MAX_FILE_BYTES >> 20} MiB")
    return b"".join(chunks)


def _recognise(data: bytes, image: PeImage) -> tuple[Kind, LinuxHeader | None, str | None]:
    from payloads import linux
    from payloads.pe import section_bytes

    # a UKI's stub is an ordinary EFI program; the kernel rides in a section of its own
    if image.section(".linux") is not None:
        uname = image.section(".uname")
        return Kind.UKI, None, _text(section_bytes(data, uname)) if uname else None
    if found := linux.recognise(data, image):
        return found
    return Kind.EFI_APPLICATION if image.subsystem == _EFI_APPLICATION else Kind.EFI_DRIVER, None, None


def _text(raw: bytes) -> str | None:
    """The first line of a text section, if it is short and printable; else None."""
    line = raw[:256].split(b"\0", 1)[0].decode("utf-8", "replace").strip()
    return line if line and line.isprintable() else None
