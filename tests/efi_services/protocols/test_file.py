"""Open files, as a guest sees them."""

import struct
import time

import pytest

from efi_services import guids
from efi_services.file_info import FILE_INFO, FILE_SYSTEM_INFO, VOLUME_LABEL
from efi_services.status import Status

VOLUME, FILE = "EFI_SIMPLE_FILE_SYSTEM_PROTOCOL", "EFI_FILE_PROTOCOL"


class Files:
    """A guest's way to its files."""

    def __init__(self, guest):
        self.guest = guest
        at = guest.room()
        assert guest.method(VOLUME, "OpenVolume", guest.protocol(guids.SIMPLE_FILE_SYSTEM), at) == 0
        self.root = guest.u64(at)

    def call(self, file, name, *arguments):
        return self.guest.method(FILE, name, file, *arguments)

    def open(self, name, mode=1, attributes=0, start=None):
        at = self.guest.put(0)
        status = self.call(start or self.root, "Open", at, self.guest.put(name), mode, attributes)
        return self.guest.u64(at) if status == 0 else Status(status)

    def read(self, file, size):
        """What Read gives: the data, or the status and the size that it told."""
        room, buffer = self.guest.put(size), self.guest.room(max(size, 1))
        status = self.call(file, "Read", room, buffer)
        told = self.guest.u64(room)
        return self.guest.bytes_at(buffer, told) if status == 0 else (Status(status), told)

    def info(self, file, kind, size=512):
        room, buffer = self.guest.put(size), self.guest.room(size)
        status = self.call(file, "GetInfo", self.guest.put(kind), room, buffer)
        told = self.guest.u64(room)
        return self.guest.bytes_at(buffer, told) if status == 0 else (Status(status), told)


@pytest.fixture
def files(power_on, fakes):
    guest = power_on(trees=[fakes.Tree(fakes.files, broken=("EFI\\Linux",))])
    guest.start()
    return Files(guest)


def name_of(info):
    return info[80:].decode("utf-16-le").rstrip("\0")


def test_revisions(files):
    assert files.guest.u64(files.guest.protocol(guids.SIMPLE_FILE_SYSTEM)) == 0x1_0000
    assert files.guest.u64(files.root) == 0x2_0000


def test_reading_in_pieces(files, fakes):
    file, whole = files.open("initrd.img"), fakes.files["initrd.img"]
    assert files.read(file, 300) + files.read(file, 300) == whole[:600]
    at = files.guest.room()
    assert files.call(file, "GetPosition", at) == 0
    assert files.guest.u64(at) == 600
    assert files.read(file, 8000) == whole[600:]
    assert files.read(file, 10) == b""
    name, _, first = files.guest.observer.inputs[-3]
    assert (name, first) == ("file \\initrd.img", whole[:300])


def test_positions(files, fakes):
    file = files.open("initrd.img")
    assert files.call(file, "SetPosition", 5110) == 0
    assert files.read(file, 100) == fakes.files["initrd.img"][5110:]
    assert files.call(file, "SetPosition", (1 << 64) - 1) == 0
    assert files.read(file, 100) == b""
    # As in EDK II, one may go there, but there is nothing to read.
    assert files.call(file, "SetPosition", 1 << 40) == 0
    assert files.read(file, 100) == (Status.DEVICE_ERROR, 100)


def test_listing_a_directory(files):
    directory = files.open("EFI")
    names = []
    while entry := files.read(directory, 200):
        names.append(name_of(entry))
    assert names == [".", "..", "BOOT", "Linux"]
    assert files.read(directory, 200) == b""
    assert files.call(directory, "SetPosition", 1) == Status.UNSUPPORTED
    assert files.call(directory, "SetPosition", 0) == 0
    assert files.read(directory, 20) == (Status.BUFFER_TOO_SMALL, 84)
    assert name_of(files.read(directory, 84)) == "."
    assert files.call(directory, "GetPosition", files.guest.room()) == Status.UNSUPPORTED


def test_the_root_lists_neither_itself_nor_what_is_above(files):
    assert [name_of(files.read(files.root, 200)) for _ in range(3)] == ["EFI", "empty", "initrd.img"]
    assert name_of(files.info(files.root, FILE_INFO)) == ""


def test_what_is_told_of_a_file(files):
    info = files.info(files.open("initrd.img"), FILE_INFO)
    size, file_size, taken = struct.unpack_from("<QQQ", info)
    assert (size, file_size, taken) == (len(info), 5120, 5120)
    assert info[24:40] == struct.pack("<HBBBBBBIHBB", 1980, 1, 1, 0, 0, 0, 0, 0, 0x7FF, 0, 0) == info[56:72]
    assert struct.unpack_from("<Q", info, 72) == (0x20,)
    assert struct.unpack_from("<Q", files.info(files.open("EFI"), FILE_INFO), 72) == (0x10,)


def test_what_is_told_of_the_volume(files):
    info = files.info(files.root, FILE_SYSTEM_INFO)
    assert info == struct.pack("<QB7xQQI", 46, 1, 1 << 20, 0, 512) + "FAKE\0".encode("utf-16-le")
    assert files.info(files.root, VOLUME_LABEL) == "FAKE\0".encode("utf-16-le")
    assert files.info(files.root, VOLUME_LABEL, size=4) == (Status.BUFFER_TOO_SMALL, 10)
    assert files.info(files.root, guids.DEVICE_PATH)[0] == Status.UNSUPPORTED


def test_nothing_can_be_changed(files, fakes):
    before = dict(fakes.files)
    read_write, create = 3, (1 << 63) | 3
    assert files.open("initrd.img", read_write) == Status.WRITE_PROTECTED
    assert files.open("new", create) == Status.WRITE_PROTECTED
    assert files.open("new", create, attributes=1) == Status.INVALID_PARAMETER
    assert files.open("initrd.img", 2) == Status.INVALID_PARAMETER
    file = files.open("initrd.img")
    put, size = files.guest.put, files.guest.put(4)
    assert files.call(file, "Write", size, put(b"text")) == Status.WRITE_PROTECTED
    assert files.call(files.root, "Write", size, put(b"text")) == Status.UNSUPPORTED
    assert files.call(file, "SetInfo", put(FILE_INFO), 100, put(bytes(100))) == Status.WRITE_PROTECTED
    assert files.call(file, "SetInfo", put(guids.DEVICE_PATH), 100, put(bytes(100))) == Status.UNSUPPORTED
    assert files.call(file, "Delete") == Status.WARN_DELETE_FAILURE
    assert fakes.files == before


def test_a_closed_file_is_none(files):
    file = files.open("initrd.img")
    assert files.call(file, "Close") == 0
    # Its memory may hold anything by now; here it is as it was.
    assert files.call(file, "GetPosition", files.guest.room()) == Status.INVALID_PARAMETER


def test_open_files_cost_the_guest_memory(files):
    pages = files.guest.room()
    while files.guest.call("AllocatePages", 0, 2, 64, pages) == 0:
        pass
    opened, free = 0, files.guest.free
    while (file := files.open("empty")) and not isinstance(file, Status):
        opened += 1
        files.guest.free = free
    assert file == Status.OUT_OF_RESOURCES
    assert 0 < opened < 1000


def test_a_damaged_directory(files):
    directory = files.open("EFI\\Linux")
    assert files.read(directory, 200)
    assert files.read(directory, 200)
    assert files.read(directory, 200) == (Status.VOLUME_CORRUPTED, 200)


def test_tokens(files, fakes):
    guest = files.guest
    event, buffer, opened = guest.event(), guest.room(5120), guest.room()
    token = guest.put(struct.pack("<QQQQ", event, 99, 100, buffer))
    assert files.call(files.root, "OpenEx", opened, guest.put("initrd.img"), 1, 0, token) == 0
    assert guest.call("CheckEvent", event) == 0
    file = guest.u64(opened)
    assert files.call(file, "ReadEx", token) == 0
    assert guest.call("CheckEvent", event) == 0
    assert struct.unpack("<QQQQ", guest.bytes_at(token, 32)) == (event, 0, 100, buffer)
    assert guest.bytes_at(buffer, 100) == fakes.files["initrd.img"][:100]
    assert files.call(file, "WriteEx", token) == Status.WRITE_PROTECTED
    assert files.call(file, "FlushEx", token) == Status.ACCESS_DENIED
    assert files.call(file, "Flush") == Status.ACCESS_DENIED
    end = guest.put(struct.pack("<QQQQ", 0, 99, 10, buffer))
    assert files.call(files.root, "ReadEx", end) == Status.BUFFER_TOO_SMALL


def test_ten_thousand_files_are_listed_within_two_seconds(power_on, fakes):
    guest = power_on(trees=[fakes.Tree({f"file number {number}": b"" for number in range(10_000)})])
    guest.start()
    files = Files(guest)
    room, buffer, names = guest.put(0), guest.room(200), 0
    began = time.process_time()
    while True:
        guest.memory.write(room, (200).to_bytes(8, "little"))
        assert files.call(files.root, "Read", room, buffer) == 0
        if not guest.u64(room):
            break
        names += 1
    took = time.process_time() - began
    print(f"10,000 files listed in {took:.2f} s")
    assert took < 2
    assert names == 10_000
