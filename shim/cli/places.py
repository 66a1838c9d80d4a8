"""How a payload's name becomes a payload, and where its run goes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from shim.config.places import cache_folder
from shim.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from payloads import Payload


def find_payload(name: str, progress: "Callable[[str], None]") -> "Payload":
    """A payload by path or catalogue name; one that isn't in the cache is fetched."""
    from payloads import catalogue, open_payload

    if catalogue.is_name(name) and not Path(name).exists():
        if name.startswith("program:"):
            return open_payload(catalogue.program(name), name)
        from payloads.fetch import fetch, open_cached

        entry, cache = catalogue.find(name), cache_folder()
        found = open_cached(entry, cache, name)
        return found or open_payload(fetch(entry, cache=cache, progress=progress).path, name)
    return open_payload(Path(name))


def default_platform(payload: "Payload | None") -> str:
    """The ready platform where none is asked for: for the payload's machine, and for its kernel's pages."""
    from payloads.model import Arm64ImageHeader
    from shim.config.platform import DEFAULT_PLATFORMS, PLATFORM_OF_16K_PAGES

    if payload is None:
        return "q35"
    if isinstance(payload.linux, Arm64ImageHeader) and payload.linux.page_size == 16 << 10:
        return PLATFORM_OF_16K_PAGES
    return DEFAULT_PLATFORMS.get(payload.machine.value, "q35")


def new_run_folder(out: Path | None, payload: str) -> Path:
    """A fresh folder: *out*, or the next free runs/<payload>-<n>."""
    try:
        if out is not None:
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise UsageError(f"{out} is there already; give another place with --out")
            out.mkdir(parents=True, exist_ok=True)
            return out
        # A name that begins with a dot would be hidden, or mean a folder above.
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", payload).lstrip(".-")[:100]
        number = 1
        while True:
            folder = Path("runs") / f"{base or 'run'}-{number}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        raise UnreadableError(f"{error.filename or out}: {error.strerror}") from None


def read_initrd(path: Path) -> bytes:
    """An initrd's bytes; it has to be a regular file."""
    try:
        if not path.exists():
            raise UnreadableError(f"{path}: no such file")
        if not path.is_file():
            raise UnreadableError(f"{path}: not a regular file")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
