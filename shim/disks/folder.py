"""A folder of the host as a tree of files: nothing outside it can be reached, and nothing in it is changed.

The folder is read once, when the run begins: names, sizes and digests. A file that is another one when the guest reads
it is an error of the disk. No symbolic link is followed, at any depth and at any time.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from efi_services.ports import DiskError, FileNode
from efi_services.volume import folded, is_name
from shim.disks.image import read_at
from shim.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: What a folder may have in all.
MAX_ENTRIES, MAX_DEPTH, MAX_BYTES = 100_000, 32, 16 << 30
#: FAT has 32 bits for a file's size.
MAX_FILE_BYTES = (1 << 32) - 1
CLUSTER = 4096
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO without a writer must not hang us.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20
#: Files that are kept open.
_MOST_OPEN = 16


@dataclass(frozen=True, slots=True)
class _Known:
    """What told a file from all others when the folder was read."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> _Known:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


Parts = tuple[str, ...]


@dataclass
class FolderTree:
    """The files of a folder.

    *size* is what they take in all, *digest* is of all names and contents, and *left_out* says what is not there.
    """

    label: str = "EFI-SHIM"
    size: int = 0
    root: FileNode = field(default_factory=lambda: FileNode("", 0, (), directory=True))
    digest: str = ""
    left_out: tuple[str, ...] = ()
    _top: int = -1
    _children: dict[Parts, tuple[FileNode, ...]] = field(default_factory=dict)
    _known: dict[Parts, _Known] = field(default_factory=dict)
    _open: dict[Parts, int] = field(default_factory=dict)

    def children(self, directory: FileNode) -> Sequence[FileNode]:
        """What the directory held when the run began."""
        return self._children[_parts(directory)]

    def read(self, file: FileNode, offset: int, size: int) -> bytes:
        """Bytes of a file; raises DiskError where it is not the one that was there when the run began."""
        parts = _parts(file)
        name = "/".join(parts)
        size = max(min(size, file.size - offset), 0)
        try:
            descriptor = self._descriptor(parts)
            if _Known.of(os.fstat(descriptor)) != self._known[parts]:
                raise DiskError(f"{name} was changed while the run went on")
            data = read_at(descriptor, offset, size)
        except OSError as error:
            raise DiskError(f"{name}: {error.strerror}") from None
        if len(data) != size:
            raise DiskError(f"{name} was cut off while the run went on")
        return data

    def close(self) -> None:
        """Let go of the host's files."""
        for descriptor in (*self._open.values(), self._top):
            if descriptor >= 0:
                os.close(descriptor)
        self._open.clear()
        self._top = -1

    def _descriptor(self, parts: Parts) -> int:
        if parts not in self._open:
            if len(self._open) >= _MOST_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[parts] = _open_below(self._top, parts)
        return self._open[parts]


def open_folder(where: Path) -> FolderTree:
    """Read a folder.

    Raises:
        UsageError: it has too much in it.
        UnreadableError: it can't be read.
    """
    tree, left_out = FolderTree(), list[str]()
    try:
        tree._top = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            total = hashlib.sha256()
            for line in _walk(tree, (), left_out.append):
                total.update(line)
        except BaseException:
            tree.close()
            raise
    except OSError as error:
        raise UnreadableError(f"{where}: {error.strerror}") from None
    except ValueError as why:
        raise UsageError(f"{where}: {why}") from None
    tree.digest, tree.left_out = total.hexdigest(), tuple(left_out)
    return tree


def _walk(tree: FolderTree, parts: Parts, leave_out: Callable[[str], None]) -> Iterator[bytes]:
    """Read a directory and those in it; gives lines that tell all names and contents."""
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} folders in each other")
    descriptor = _open_below(tree._top, parts, _DIRECTORY) if parts else os.dup(tree._top)
    taken: set[str] = set()
    found: list[FileNode] = []
    try:
        with os.scandir(descriptor) as listed:
            names = sorted(each.name for each in listed)
        for name in names:
            inner = (*parts, name)
            shown = "/".join(inner).encode("utf-8", "replace").decode()
            what = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            why = _why_not(name, what, taken)
            if why:
                leave_out(f"{shown}: {why}")
                continue
            taken.add(folded(name))
            is_directory = stat.S_ISDIR(what.st_mode)
            found.append(FileNode(name, 0 if is_directory else what.st_size, inner, is_directory))
            if len(tree._known) + len(found) > MAX_ENTRIES:
                raise ValueError(f"more than {MAX_ENTRIES} files")
            tree._known[inner] = _Known.of(what)
            if not is_directory:
                tree.size += -(-what.st_size // CLUSTER) * CLUSTER
                if tree.size > MAX_BYTES:
                    raise ValueError(f"more than {MAX_BYTES >> 30} GiB")
                yield f"{'/'.join(inner)}\0{what.st_size}\0{_digest(descriptor, name, tree._known[inner])}\n".encode()
    finally:
        os.close(descriptor)
    tree._children[parts] = tuple(found)
    for node in found:
        if node.directory:
            yield f"{'/'.join(_parts(node))}/\n".encode()
            yield from _walk(tree, _parts(node), leave_out)


def _why_not(name: str, what: os.stat_result, taken: set[str]) -> str:
    """Why something of a folder is not on the disk; nothing where it is."""
    if stat.S_ISLNK(what.st_mode):
        return "a symbolic link"
    if not stat.S_ISREG(what.st_mode) and not stat.S_ISDIR(what.st_mode):
        return "neither file nor folder"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if not is_name(name):
        return "FAT can't have such a name"
    if folded(name) in taken:
        return "another one differs in upper and lower case only"
    if what.st_size > MAX_FILE_BYTES and stat.S_ISREG(what.st_mode):
        return "too large for FAT"
    return ""


def _digest(directory: int, name: str, known: _Known) -> str:
    """The SHA-256 of a file; raises ValueError where it changes meanwhile."""
    descriptor = os.open(name, _FILE, dir_fd=directory)
    try:
        total, size = hashlib.sha256(), 0
        while chunk := os.read(descriptor, _CHUNK):
            total.update(chunk)
            size += len(chunk)
            if size > known.size:
                break
        if _Known.of(os.fstat(descriptor)) != known or size != known.size:
            raise ValueError(f"{name} changes while it is read")
    finally:
        os.close(descriptor)
    return total.hexdigest()


def _open_below(top: int, parts: Parts, flags: int = _FILE) -> int:
    """Open a file below *top*, folder by folder, so that no symbolic link on the way is followed."""
    *folders, last = parts
    here = os.dup(top)
    try:
        for each in folders:
            here, above = os.open(each, _DIRECTORY, dir_fd=here), here
            os.close(above)
        return os.open(last, flags, dir_fd=here)
    finally:
        os.close(here)


def _parts(node: FileNode) -> Parts:
    assert isinstance(node.place, tuple)
    return node.place
