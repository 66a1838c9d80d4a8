"""A mounted volume: names looked up in a tree of files as a FAT driver does it (UEFI 2.10, section 13.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.ports import DiskError
from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from efi_services.ports import FileNode, FileTree

SEPARATOR = "\\"
#: What a path may have at most, in characters, the drive letter of old included; and a name in it.
MAX_PATH, MAX_NAME = 260, 255
#: Entries of directories that are kept, more or less.
MAX_KEPT = 200_000
_NOT_IN_NAMES = frozenset('"*/:<>?|\\') | {chr(each) for each in range(32)}


def is_name(name: str) -> bool:
    """Whether a file can have this name on a FAT volume."""
    sixteen = len(name.encode("utf-16-le", "surrogatepass")) // 2
    return 0 < sixteen <= MAX_NAME and not _NOT_IN_NAMES & set(name) and not name.endswith((".", " "))


def folded(name: str) -> str:
    """What two names have in common that mean the same file."""
    return name.upper()


@dataclass(frozen=True, slots=True)
class Place:
    """A file or directory of a volume, and the directories in which it lies, the root first."""

    node: FileNode
    parents: tuple[Place, ...] = ()

    @property
    def path(self) -> str:
        r"""The path from the root, as ``\EFI\BOOT``; a single separator for the root."""
        return SEPARATOR + SEPARATOR.join(each.node.name for each in (*self.parents, self)[1:])


class Volume:
    """A tree of files, with what was read of its directories."""

    def __init__(self, tree: FileTree, finding: Callable[[str, str], None] = lambda _kind, _detail: None) -> None:
        self.tree = tree
        self.root = Place(tree.root)
        self._finding = finding
        self._children: dict[Hashable, Sequence[FileNode]] = {}
        self._names: dict[Hashable, dict[str, FileNode]] = {}

    def children(self, directory: FileNode) -> Sequence[FileNode]:
        """What a directory holds; raises EfiError VOLUME_CORRUPTED."""
        known = self._children.get(directory.place)
        if known is None:
            try:
                known = self.tree.children(directory)
            except DiskError as why:
                raise self._damaged(why) from None
            if sum(map(len, self._children.values())) > MAX_KEPT:
                self._children.clear()
                self._names.clear()
            self._children[directory.place] = known
        return known

    def read(self, file: FileNode, offset: int, size: int) -> bytes:
        """Bytes of a file; raises EfiError VOLUME_CORRUPTED."""
        try:
            return self.tree.read(file, offset, size)
        except DiskError as why:
            raise self._damaged(why) from None

    def locate(self, start: Place, path: str) -> Place:
        """The file that *path* names, from *start* or, where it begins with a separator, from the root.

        Raises:
            EfiError: INVALID_PARAMETER for what can't be a path, NOT_FOUND, VOLUME_CORRUPTED.
        """
        if not path or len(path) > MAX_PATH:
            raise EfiError(Status.INVALID_PARAMETER)
        place = self.root if path.startswith(SEPARATOR) else start
        for part in path.split(SEPARATOR):
            if part in ("", "."):
                continue
            if part == "..":
                if not place.parents:
                    raise EfiError(Status.INVALID_PARAMETER)
                place = place.parents[-1]
                continue
            name = part.strip(" ").rstrip(". ")
            if not is_name(name):
                raise EfiError(Status.INVALID_PARAMETER)
            if not place.node.directory:
                raise EfiError(Status.NOT_FOUND)
            place = self._child(place, name)
        if path.endswith(SEPARATOR) and not place.node.directory:
            raise EfiError(Status.NOT_FOUND)
        return place

    def _child(self, directory: Place, name: str) -> Place:
        key = directory.node.place
        names = self._names.get(key)
        if names is None:
            names = self._names[key] = {}
            for each in self.children(directory.node):
                for spelling in (each.name, each.short_name):
                    if spelling:
                        names.setdefault(folded(spelling), each)
        try:
            return Place(names[folded(name)], (*directory.parents, directory))
        except KeyError:
            raise EfiError(Status.NOT_FOUND) from None

    def _damaged(self, why: DiskError) -> EfiError:
        self._finding("disk-damaged", str(why))
        return EfiError(Status.VOLUME_CORRUPTED)
