"""What is loaded for kexec, and the digest that purgatory checks before it jumps (kernel/kexec_file.c)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.memory_map import PAGE
from shim.errors import DiffersError, UnreadableError
from shim.trace.writer import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = "efi-shim/kexec/1"
#: In a run folder: what was loaded there for the kernel that follows.
FOLDER = "kexec"
_ABOUT = "kexec.json"
REBOOT = "fall back to a regular reboot"
_ORDER = ("kernel", "initrd", "command line")
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Loaded:
    """Segments by name, in the order in which they are hashed; the list of IMA is none of those that are.

    *name* is the kernel's. *pcr_10* is what the list has to come to, by bank, *follows* the digest of memory of the
    run that all this was loaded in.
    """

    name: str
    segments: tuple[tuple[str, bytes], ...]
    sha256: str
    ima: bytes
    pcr_10: dict[str, str]
    follows: str

    def segment(self, name: str) -> bytes | None:
        """The bytes of one of them."""
        return dict(self.segments).get(name)

    @property
    def intact(self) -> bool:
        """Whether the segments still have the digest that they had when they were loaded."""
        return digest(self.segments) == self.sha256


def memory_size(data: bytes) -> int:
    """What a segment takes: whole pages."""
    return -(-len(data) // PAGE) * PAGE


def digest(segments: Sequence[tuple[str, bytes]]) -> str:
    """SHA-256 over the segments in their order, each with the zeroes up to its size in memory."""
    sha = hashlib.sha256()
    for _, data in segments:
        sha.update(data)
        sha.update(bytes(memory_size(data) - len(data)))
    return sha.hexdigest()


def save(run: Path, loaded: Loaded) -> None:
    """Keep it in a run folder, in place of what was loaded before; raises UnreadableError."""
    folder = run / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        for name, data in (*loaded.segments, ("ima", loaded.ima)):
            (folder / name).write_bytes(data)
    except OSError as error:
        raise UnreadableError(f"{error.filename}: {error.strerror}") from None
    about = {
        "schema": SCHEMA,
        "name": loaded.name,
        "segments": [{"name": name, "size": len(data)} for name, data in loaded.segments],
        "sha256": loaded.sha256,
        "pcr_10": loaded.pcr_10,
        "follows": loaded.follows,
    }
    write_whole(folder / _ABOUT, json.dumps(about, indent=2) + "\n")


def load(run: Path) -> Loaded:
    """What was loaded in a run folder.

    Raises:
        UnreadableError: nothing, or what makes no sense.
        DiffersError: a segment has another size than it had.
    """
    path = run / FOLDER / _ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["schema"] != SCHEMA:
            raise UnreadableError(f"{path}: of another version")
        names = [(str(each["name"]), int(each["size"])) for each in about["segments"]]
        pcr_10 = {str(bank): str(value) for bank, value in about["pcr_10"].items()}
        name, sha256, follows = (str(about[key]) for key in ("name", "sha256", "follows"))
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}; nothing is loaded there") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableError(f"{path}: damaged") from None
    if not names or [each for each in _ORDER if each in dict(names)] != [each for each, _ in names]:
        raise UnreadableError(f"{path}: damaged")
    segments = tuple((each, _read(run / FOLDER / each)) for each, _ in names)
    for (each, data), (_, size) in zip(segments, names, strict=True):
        if len(data) != size:
            raise DiffersError(f"{run}: kexec-segments: the {each} has {len(data)} bytes, and had {size}: {REBOOT}")
    return Loaded(name, segments, sha256, _read(run / FOLDER / "ima"), pcr_10, follows)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UnreadableError(f"{path}: larger than {_MOST_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
