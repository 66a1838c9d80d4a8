"""What went into a run, found again: a folder has its hashes, and its files are elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import payloads
from payloads import PayloadError, catalogue
from payloads.fetch import find_by_hash
from shim.config.places import cache_folder
from shim.errors import MissingError, UsageError

if TYPE_CHECKING:
    from payloads import Payload
    from shim.trace.folder import RunFolder


def find_payload(run: RunFolder, given: Path | None) -> Payload:
    """The payload of a run: *given*, or by its hash from the cache, our own programs, and the working folder."""
    wanted = run.report.payload
    if given is not None:
        found = payloads.open_payload(given, wanted.name)
        if found.sha256 != wanted.sha256:
            raise UsageError(f"{given}: not the run's payload, whose SHA-256 is {wanted.sha256}")
        return found
    path = find_by_hash(wanted.sha256, cache_folder())
    try:
        if path is None:
            path = catalogue.program(wanted.name) if wanted.name.startswith("program:") else Path(wanted.name)
        found = payloads.open_payload(path, wanted.name)
        if found.sha256 == wanted.sha256:
            return found
    except PayloadError:
        pass  # Whatever bears that name here, it is another file.
    raise MissingError(f"the payload of this run is not at hand: give it with --payload (SHA-256 {wanted.sha256})")


def find_initrd(run: RunFolder, given: bytes | None) -> bytes | None:
    """The run's initrd: *given*, if it has the hash."""
    wanted = run.report.inputs.initrd_sha256
    if wanted is None:
        return None
    if given is None:
        raise MissingError(f"the run had an initrd: give it with --initrd (SHA-256 {wanted})")
    if hashlib.sha256(given).hexdigest() != wanted:
        raise UsageError(f"not the run's initrd, whose SHA-256 is {wanted}")
    return given
