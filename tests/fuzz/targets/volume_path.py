"""Names of files as programs write them: what is found lies on the volume, and its own path leads there again."""

from loading import borrow

from efi_services.status import EfiError
from efi_services.volume import Volume

ERRORS = (EfiError,)
MAX_LENGTH = 1024
_fakes = borrow("tests/making/fakes.py")
_files = {"EFI\\BOOT\\BOOTX64.EFI": b"MZ", "a long name.txt": b"x", "EFI\\BOOT\\é": b"", "UPPER": b""}


def seeds():
    paths = {"plain": "\\EFI\\BOOT\\BOOTX64.EFI", "around": "EFI\\..\\.\\a LONG name.txt .", "up": "..\\..\\UPPER"}
    return {name: path.encode("utf-16-le") for name, path in paths.items()}


def target(data):
    volume = Volume(_fakes.FakeTree(_files))
    path = data.decode("utf-16-le", "replace")
    found = volume.locate(volume.root, path)
    assert volume.locate(volume.root, found.path) == found
    assert found.path[1:] in {*_files, "", "EFI", "EFI\\BOOT"}
