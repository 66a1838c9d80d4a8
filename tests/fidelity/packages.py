"""Files out of Debian's packages, through the private apt that payloads are fetched with, kept in its cache."""

from __future__ import annotations

import lzma
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from initramfs import MODULES
from payloads.apt import PrivateApt
from payloads.mirrors import debian_sources

if TYPE_CHECKING:
    from payloads.catalogue import Entry
    from payloads.fetch import Fetched

_BUSYBOX_SUITE = "trixie"


def busybox(architecture: str, cache: Path) -> bytes:
    """A busybox that needs no library."""
    (found,) = files(_BUSYBOX_SUITE, architecture, "busybox-static", ("busybox",), cache)
    return found


def tpm_modules(entry: Entry, kernel: Fetched, cache: Path) -> dict[str, bytes]:
    """The modules of the kernel's driver for a TPM at the usual place, unpacked; none where it is built in."""
    package = kernel.package.replace("linux-binary-", "linux-modules-")
    config = "config-*" if package == kernel.package else "config"
    config_package = package.replace("linux-modules-", "linux-base-")
    (settings,) = files(entry.suite, entry.architecture, re.escape(config_package), (config,), cache)
    if re.search(rb"^CONFIG_TCG_TIS=y$", settings, re.MULTILINE):
        return {}
    return modules(entry, kernel, MODULES, cache)


def modules(entry: Entry, kernel: Fetched, names: tuple[str, ...], cache: Path) -> dict[str, bytes]:
    """Modules of a kernel, unpacked."""
    # Since 6.19 the modules have a package of their own.
    package = re.escape(kernel.package.replace("linux-binary-", "linux-modules-"))
    packed = files(entry.suite, entry.architecture, package, tuple(f"{name}*" for name in names), cache)
    return {
        name: lzma.decompress(data) if data.startswith(b"\xfd7zXZ") else data
        for name, data in zip(names, packed, strict=True)
    }


def files(suite: str, architecture: str, package: str, names: tuple[str, ...], cache: Path) -> list[bytes]:
    """The first file of each name, anywhere in the newest package that matches a regular expression."""
    apt = PrivateApt(cache / "apt" / f"{suite}-{architecture}", suite, architecture, debian_sources())
    with apt.locked(print):
        if not apt.updated:
            apt.refresh(print)
        found = apt.newest(package)
        folder = cache / "fidelity" / found.sha256
        kept = [folder / name.replace("*", "_") for name in names]
        if not all(each.is_file() for each in kept):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as incoming:
                _unpack(apt.download(found, Path(incoming)), dict(zip(names, kept, strict=True)))
    return [each.read_bytes() for each in kept]


def _unpack(deb: Path, wanted: dict[str, Path]) -> None:
    left = dict(wanted)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as unpack:
        assert unpack.stdout is not None
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
            for member in archive:
                name = next((each for each in left if PurePosixPath(member.name).match(each)), None)
                content = archive.extractfile(member) if name is not None and member.isreg() else None
                if name is not None and content is not None:
                    left.pop(name).write_bytes(content.read())
    if left:
        raise FileNotFoundError(f"{deb.name} has no {', '.join(left)}")
