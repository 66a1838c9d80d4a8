"""Where things are on the user's machine."""

from __future__ import annotations

import os
from pathlib import Path

from shim.errors import UnreadableError


def cache_folder() -> Path:
    """The user's cache: $XDG_CACHE_HOME/efi-shim, ~/.cache/efi-shim by default."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "efi-shim"
    try:
        return Path.home() / ".cache" / "efi-shim"
    except RuntimeError:
        raise UnreadableError("there is no home folder for the cache; set XDG_CACHE_HOME") from None
