"""``efi-shim doctor``: what this installation can do."""

import shutil
import sys

import typer

from shim.errors import ExitCode


def doctor() -> None:
    """Say what is there and what is missing, and what for."""
    from importlib import metadata

    from payloads.errors import PayloadError
    from payloads.mirrors import debian_sources
    from shim.config.places import cache_folder
    from shim.engine import engine_info

    engine = engine_info()
    lines: list[tuple[str, bool, str]] = [
        ("Python", sys.version_info >= (3, 11), sys.version.split()[0]),
        ("efi-shim", True, metadata.version("efi-shim")),
        ("Unicorn", engine.unicorn == "2.1.4", f"{engine.unicorn}, {'patched' if engine.patched else 'as released'}"),
        _native(),
    ]
    for tool, purpose in (
        ("apt-get", "fetching kernels"),
        ("dpkg-deb", "unpacking packages"),
        ("cc", "building the extension"),
    ):
        where = shutil.which(tool)
        lines.append((tool, where is not None, where or f"not found: needed for {purpose}"))
    try:
        sources = debian_sources()
        lines.append(("Debian mirror", bool(sources), f"{len(sources)} in the machine's apt configuration"))
    except PayloadError as error:
        lines.append(("Debian mirror", False, str(error)))
    lines.append(("cache", True, str(cache_folder())))
    for name, good, detail in lines:
        sys.stdout.write(f"{'ok ' if good else 'NO '} {name:14} {detail}\n")
    if not all(good for _, good, _ in lines):
        raise typer.Exit(ExitCode.MISSING)


def _native() -> tuple[str, bool, str]:
    try:
        from shim.machine import _native as native
    except ImportError as error:
        return ("native hooks", False, f"{error}; install the package again")
    return ("native hooks", hasattr(native, "Monitor"), "built")
