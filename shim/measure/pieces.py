"""Pieces of memory or files with their digests, kept in a run folder for whoever measures them later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import Piece, piece
from payloads import Kind
from shim.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from payloads import Payload

#: What went into a run, and what its kernel was handed.
INPUTS, HANDED = "inputs.json", "handoff/pieces.json"
#: The payload by its Authenticode digests.
IMAGE = "payload image"


def save(path: Path, pieces: Iterable[Piece]) -> None:
    """Write pieces as JSON."""
    rows = [
        {
            "name": each.name,
            "address": f"{each.address:#x}",
            "size": each.size,
            "call": each.call,
            "digests": {algorithm.label: digest.hex() for algorithm, digest in each.digests.items()},
        }
        for each in pieces
    ]
    try:
        path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None


def load(path: Path) -> list[Piece]:
    """Read them; raises UnreadableError where there are none, or they make no sense."""
    try:
        return [
            Piece(
                str(each["name"]),
                _number(int(each["address"], 16)),
                _number(each["size"]),
                {algorithm: _digest(each["digests"][algorithm.label], algorithm) for algorithm in Algorithm},
                None if each["call"] is None else _number(each["call"]),
            )
            for each in json.loads(path.read_text(encoding="utf-8"))
        ]
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableError(f"{path}: damaged") from None


def _number(value: int) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise ValueError(value)
    return value


def _digest(text: str, algorithm: Algorithm) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != algorithm.size:
        raise ValueError(text)
    return digest


def image(payload: bytes) -> Piece:
    """The payload as firmware measures images: its digests are the Authenticode ones."""
    from payloads.pe import authenticode  # pefile takes long to import, and who only reads pieces needs none

    return Piece(IMAGE, 0, len(payload), {each: authenticode(payload, each.label) for each in Algorithm})


def sections(payload: Payload) -> list[Piece]:
    """What a unified kernel image holds, as its stub measures it; of other payloads nothing."""
    if payload.kind is not Kind.UKI:
        return []
    from payloads import uki  # as above

    return [piece(f"section {name}", data) for name, data in uki.contents(payload.data, payload.image)]


def inputs(cmdline: str | None, initrd: bytes | None) -> list[Piece]:
    """What went into a run beside the payload, as the user gave it; what the guest gets of it comes on its own.

    The payload is left out: all its digests can take longer than a run, and it can be found by its hash.
    """
    found = []
    if cmdline is not None:
        found.append(piece("command line", cmdline.encode()))
    if initrd is not None:
        found.append(piece("initrd", initrd))
    return found
