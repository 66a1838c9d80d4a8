"""Getting catalogue payloads: out of Debian's packages, verified, into a cache.

Layout of the cache folder: ``apt/<suite>-<architecture>/`` is apt's private state,
``payloads/<distribution>/<suite>/<flavour>/`` holds ``<sha256>.efi`` for each version that was ever fetched and
``current.json``, which says what the newest is and where it came from, and by its date when that was last checked.
Older versions stay, so that old runs can be replayed. A file appears under its name only when it is complete and on
the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from payloads.apt import Package, PrivateApt, UntrustedIndex
from payloads.errors import MissingPart, Unreadable
from payloads.identify import identify, read_file
from payloads.mirrors import Source, debian_sources
from payloads.model import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from payloads.catalogue import Entry
    from payloads.model import Payload

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """A payload in the cache, and the package it came from; both hashes are SHA-256 in hex."""

    path: Path
    package: str
    version: str
    sha256: str
    package_sha256: str


def _silent(_message: str) -> None:
    """Progress that nobody watches."""


def fetch(
    entry: Entry,
    *,
    cache: Path,
    progress: Callable[[str], None] = _silent,
    sources: tuple[Source, ...] | None = None,
) -> Fetched:
    """Get the newest version of a catalogue payload, or the cached copy when no mirror can be reached.

    The index of a suite is read again when it is older than a day, or when it names a package that is gone.

    Args:
        entry: what to get.
        cache: the cache folder, made when missing.
        progress: called with one line whenever something begins that takes time.
        sources: Debian archives to use; those of the machine's own apt when left out.

    Raises:
        MissingPart: it can't be had, and there is no cached copy; or the index is not signed by Debian.
    """
    cache = cache.absolute()
    try:
        return _fetch(entry, cache, progress, sources)
    except UntrustedIndex:
        raise
    except MissingPart as error:
        have = cached(entry, cache)
        if have is None:
            raise
        progress(f"using the cached copy: {error}")
        return have
    except OSError as error:
        raise MissingPart(f"the cache folder {cache} can't be used: {error.strerror}") from None


def carried(
    entries: Iterable[Entry],
    *,
    cache: Path,
    progress: Callable[[str], None] = _silent,
    sources: tuple[Source, ...] | None = None,
) -> Iterator[tuple[Entry, str | MissingPart]]:
    """The versions of kernels that the mirror has now, as they stand behind an ``@``: oldest first within each kernel.

    An index is read once, however many of the entries are in it. Of one that can't be read, the kernels come with why.
    Entries that are no kernels have no versions. The other arguments are those of ``fetch``.
    """
    kernels = [entry for entry in entries if entry.kernel]
    lists: dict[tuple[str, str], Sequence[str] | MissingPart] = {}
    for entry in kernels:
        index = entry.suite, entry.architecture
        if index not in lists:
            try:
                lists[index] = _names(_private_apt(entry, cache.absolute(), sources), progress)
            except MissingPart as why:
                lists[index] = why
        names = lists[index]
        if isinstance(names, MissingPart):
            yield entry, names
            continue
        found = {match["version"] for name in names if (match := re.fullmatch(entry.package, name))}
        # version numbers within one package name: digits compare as numbers
        for version in sorted(found, key=lambda version: [int(part) for part in re.findall(r"\d+", version)]):
            yield entry, version


def _names(apt: PrivateApt, progress: Callable[[str], None]) -> Sequence[str]:
    with apt.locked(progress):
        if not apt.updated:
            apt.refresh(progress)
        return apt.names()


def cached(entry: Entry, cache: Path) -> Fetched | None:
    """The newest copy of a payload that the cache holds, or None when it holds none, or a damaged one."""
    found = _recorded(entry, cache)
    return found if found is not None and _intact(found) is not None else None


def open_cached(entry: Entry, cache: Path, name: str) -> Payload | None:
    """What `cached` finds, read and recognised: the file is read and hashed once."""
    found = _recorded(entry, cache)
    data = None if found is None else _intact(found)
    return None if found is None or data is None else identify(data, name, found.path, found.sha256)


def _recorded(entry: Entry, cache: Path) -> Fetched | None:
    """The newest copy, as the cache's own record has it."""
    folder = _folder(entry, cache)
    try:
        record = json.loads((folder / "current.json").read_text("utf-8"))
        return Fetched(
            path=folder / f"{record['sha256']}.efi",
            package=str(record["package"]),
            version=str(record["version"]),
            sha256=str(record["sha256"]),
            package_sha256=str(record["package_sha256"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _intact(found: Fetched) -> bytes | None:
    """The bytes of a copy, if they are what was fetched."""
    try:
        data = read_file(found.path)
    except Unreadable:
        return None
    return data if hashlib.sha256(data).hexdigest() == found.sha256 else None


def find_by_hash(sha256: str, cache: Path) -> Path | None:
    """A payload that was fetched at any time, by the SHA-256 of its bytes; for replaying old runs."""
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        return None
    for path in sorted((cache / "payloads").glob(f"*/*/*/{sha256}.efi")):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return path
    return None


def _fetch(
    entry: Entry,
    cache: Path,
    progress: Callable[[str], None],
    sources: tuple[Source, ...] | None,
) -> Fetched:
    apt = _private_apt(entry, cache, sources)
    record = _folder(entry, cache) / "current.json"
    with apt.locked(progress):
        have, updated = cached(entry, cache), apt.updated
        # what was the newest when this very index was searched still is
        if have and updated and updated <= record.stat().st_mtime and re.fullmatch(entry.package, have.package):
            return have
        if not updated:
            apt.refresh(progress)
        # twice: the index of yesterday may name a package that the mirror has replaced, and mirrors stumble
        for attempt in (1, 2):
            package = apt.newest(entry.package)
            if have and (have.package, have.package_sha256) == (package.name, package.sha256):
                record.touch()
                return have
            try:
                return _get(entry, apt, package, cache, progress)
            except MissingPart:
                if attempt == 2:
                    raise
            if updated:
                apt.refresh(progress)
    raise AssertionError("the second attempt returns or raises")


def _private_apt(entry: Entry, cache: Path, sources: tuple[Source, ...] | None) -> PrivateApt:
    state = cache / "apt" / f"{entry.suite}-{entry.architecture}"
    return PrivateApt(state, entry.suite, entry.architecture, sources or debian_sources())


def _get(entry: Entry, apt: PrivateApt, package: Package, cache: Path, progress: Callable[[str], None]) -> Fetched:
    """Download a package, take the program out, and put it in its place."""
    folder = _folder(entry, cache)
    folder.mkdir(parents=True, exist_ok=True)
    progress(f"downloading {package.name} {package.version} ({package.size / 1e6:.0f} MB)")
    # inside the cache, so that a rename is enough at the end
    with tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as incoming:
        deb = apt.download(package, Path(incoming))
        with deb.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != package.sha256:
                raise MissingPart(f"{package.name} is not the package that the index describes")
        program = Path(incoming) / "program"
        sha256 = _extract(deb, entry.paths, program)
        final = folder / f"{sha256}.efi"
        program.replace(final)
        fetched = Fetched(final, package.name, package.version, sha256, package.sha256)
        record = {**asdict(fetched), "path": final.name, "suite": entry.suite, "architecture": entry.architecture}
        _write(Path(incoming) / "current.json", json.dumps(record, indent=2).encode() + b"\n").replace(
            folder / "current.json"
        )
        _sync_folder(folder)
    return fetched


def _extract(deb: Path, patterns: tuple[str, ...], target: Path) -> str:
    """Copy the first regular file whose path matches one of the patterns out of a package; nothing else is written.

    Returns:
        SHA-256 of the file, in hex.
    """
    try:
        unpack = subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise MissingPart("dpkg-deb is missing: install the package dpkg") from None
    with unpack:
        assert unpack.stdout is not None
        try:
            with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isreg() and any(_matches(member.name, pattern) for pattern in patterns):
                        content = archive.extractfile(member)
                        assert content is not None
                        return _copy(content, target)
        except tarfile.TarError as error:
            raise MissingPart(f"the package {deb.name} can't be unpacked ({error})") from None
        finally:
            unpack.kill()
    raise MissingPart(f"the package {deb.name} has no {' and no '.join(patterns)}")


def _matches(name: str, pattern: str) -> bool:
    path = PurePosixPath(name)
    return len(path.parts) == len(PurePosixPath(pattern).parts) and path.match(pattern)


def _copy(content: IO[bytes], target: Path) -> str:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise MissingPart("the program in the package is bigger than a payload may be")
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> Path:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _folder(entry: Entry, cache: Path) -> Path:
    name = entry.name.rpartition("/")[2]
    return cache.joinpath(
        "payloads", *(re.sub(r"[^\w.+-]", "_", part) for part in (entry.distribution, entry.suite, name))
    )
