"""The archive on a guest's console."""

import base64
import hashlib
import io
import tarfile

import pytest

import qemu
from initramfs import BEGIN, END, build, cpio


def archive(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def console(packed, digest=None):
    digest = digest or hashlib.sha256(packed).hexdigest()
    return b"boot\r\n" + BEGIN + digest.encode() + b"  -\r\n" + base64.encodebytes(packed) + END + b"\r\nreboot"


def test_the_files_by_their_paths():
    files = {"./dmesg": b"hello", "./proc/cmdline": b"quiet\n", ".//sys//class/tpm": b""}
    found = qemu.collected(console(archive(files)))
    assert found == {"dmesg": b"hello", "proc/cmdline": b"quiet\n", "sys/class/tpm": b""}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "no archive"),
        (b"Kernel panic\x1b[0m", r"last words: 'Kernel panic\\x1b"),
        (BEGIN + b"00", "no archive"),
        (console(archive({"a": b"b"}), "00" * 32), "damaged"),
        (console(b"no archive"), "damaged"),
        (console(archive({"a": b"b" * 100})[:-30]), "damaged"),
        (console(archive({"a": b"b"})).replace(END, b"!" + END).replace(b"\r\nH4", b"\r\nH"), "damaged"),
    ],
)
def test_an_archive_that_is_not_whole_is_refused(said, why):
    with pytest.raises(qemu.Failed, match=why):
        qemu.collected(said)


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(qemu, "MOST_ARCHIVE", 1000)
    with pytest.raises(qemu.Failed, match="too large"):
        qemu.collected(console(archive({"a": bytes(600), "b": bytes(600)})))


def test_what_is_missing_is_said(monkeypatch):
    board = qemu.BOARDS["arm64"]
    monkeypatch.setattr(qemu.os.path, "isfile", lambda _path: False)
    with pytest.raises(qemu.Failed, match="install the packages qemu-system-arm qemu-efi-aarch64 swtpm"):
        qemu.check(board)


def unpacked(data):
    """A reader of "newc" of its own: name, mode, content, major and minor."""
    at, found = 0, []
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        start = (at + 110 + fields[11] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found.append((name, fields[1], data[start : start + fields[6]], tuple(fields[9:11])))
        at = (start + fields[6] + 3) & ~3


@pytest.mark.parametrize("size", range(5))
def test_a_cpio_is_read_back(size):
    files = [("a" * size + "b", 0o100644, b"x" * size, (0, 0)), ("console", 0o20600, b"", (5, 1))]
    assert unpacked(cpio(files)) == files


def test_the_initramfs_loads_its_modules_in_order():
    files = {
        name: (mode, data) for name, mode, data, _ in unpacked(build(b"busybox", {"one.ko": b"1", "two.ko": b"2"}))
    }
    assert files["bin/busybox"] == (0o100755, b"busybox")
    assert files["modules/two.ko"] == (0o100644, b"2")
    mode, init = files["init"]
    assert mode == 0o100755
    assert b"for module in one.ko two.ko; do" in init
