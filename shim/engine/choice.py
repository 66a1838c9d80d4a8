"""Which engine this process uses: the patched one where it has been built, the released one otherwise."""

from __future__ import annotations

import os
import sys

from shim.config.places import cache_folder
from shim.engine import build
from shim.errors import ShimError

#: Set to "released" to do without the patched engine, as tests do that compare the two.
CHOICE = "EFI_SHIM_ENGINE"


def choose() -> None:
    """Let the binding load the patched engine, if it is there and nobody wants it otherwise."""
    if os.environ.get(CHOICE) == "released":
        # A parent process may have chosen for itself, and left its choice in the environment.
        os.environ.pop("LIBUNICORN_PATH", None)
        return
    if "unicorn" in sys.modules:
        return
    try:
        folder = build.find(cache_folder())
    except ShimError:
        return
    if folder is not None:
        build.use(folder)
