"""Disks: handles, blocks, partitions, file systems."""

import struct

import pytest

from efi_services import guids
from efi_services.device_path import END, file_path, hard_drive, pci
from efi_services.ports import DiskError
from efi_services.status import Status

BLOCK_IO, DISK_IO = "EFI_BLOCK_IO_PROTOCOL", "EFI_DISK_IO_PROTOCOL"


class Device:
    """A disk with an MBR and one FAT12 volume that holds one file."""

    block_size = 512

    def __init__(self, file=b"MZfile"):
        boot = bytearray(512)
        boot[:3] = b"\xeb\x3c\x90"
        struct.pack_into("<HBHBHHBH", boot, 11, 512, 1, 1, 1, 16, 50, 0xF8, 1)
        boot[510:] = b"\x55\xaa"
        fat = b"\xf8\xff\xff\xff\x0f\x00"
        root = struct.pack("<11sB8xH4xHI", b"APP     EFI", 0x20, 0, 2, len(file))
        volume = b"".join(each.ljust(512, b"\0") for each in (boot, fat, root, file)).ljust(50 * 512, b"\0")
        record = struct.pack("<B3sB3sII", 0, b"", 0xEF, b"", 10, 50)
        table = bytes(440) + b"DISK\0\0" + record.ljust(64, b"\0") + b"\x55\xaa"
        self.data = table.ljust(5120, b"\0") + volume + bytes(5120)
        self.blocks = len(self.data) // 512
        self.broken = False

    def read(self, block, count):
        if self.broken:
            raise DiskError("the disk is broken")
        assert block + count <= self.blocks
        return self.data[block * 512 : (block + count) * 512]


PARTITION = pci(0, 0x10, 0) + hard_drive(1, 10, 50, b"DISK".ljust(16, b"\0"), 1)


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def guest(power_on, device):
    made = power_on(disks=[device])
    made.start()
    return made


def handle_of(guest, path, protocol=guids.DEVICE_PATH):
    at = guest.put(guest.put(path + END))
    handle = guest.room()
    assert guest.call("LocateDevicePath", guest.put(protocol), at, handle) == 0
    return guest.u64(handle)


def interface(guest, handle, protocol):
    at = guest.room()
    assert guest.call("HandleProtocol", handle, guest.put(protocol), at) == 0
    return guest.u64(at)


def test_the_disk_and_its_partition_have_handles(guest):
    whole, partition = handle_of(guest, pci(0, 0x10, 0)), handle_of(guest, PARTITION)
    assert whole != partition
    assert handle_of(guest, PARTITION, guids.SIMPLE_FILE_SYSTEM) == partition
    at = guest.room()
    assert guest.call("HandleProtocol", whole, guest.put(guids.SIMPLE_FILE_SYSTEM), at) == Status.UNSUPPORTED


def test_media(guest):
    for path, partition, last in ((pci(0, 0x10, 0), 0, 69), (PARTITION, 1, 49)):
        at = interface(guest, handle_of(guest, path), guids.BLOCK_IO)
        assert guest.u64(at) == 0x2_001F
        media = struct.unpack("<I5B3xII4xQQII", guest.bytes_at(guest.u64(at + 8), 48))
        assert media == (0, 0, 1, partition, 1, 0, 512, 0, last, 0, 1, 0)


def test_reading_blocks(guest, device):
    at = interface(guest, handle_of(guest, PARTITION), guids.BLOCK_IO)
    buffer = guest.room(1024)
    assert guest.method(BLOCK_IO, "ReadBlocks", at, 0, 3, 1024, buffer) == 0
    assert guest.bytes_at(buffer, 1024) == device.data[13 * 512 : 15 * 512]
    assert guest.observer.inputs[-1][0] == "disk 0 partition 1 at 0x600"
    for arguments, status in (
        ((1, 0, 512, buffer), Status.MEDIA_CHANGED), ((0, 0, 500, buffer), Status.BAD_BUFFER_SIZE),
        ((0, 49, 1024, buffer), Status.INVALID_PARAMETER), ((0, 1 << 63, 512, buffer), Status.INVALID_PARAMETER),
        ((0, 0, 512, 0), Status.INVALID_PARAMETER), ((0, 0, 0, 0), Status.SUCCESS),
    ):  # fmt: skip
        assert guest.method(BLOCK_IO, "ReadBlocks", at, *arguments) == status
    device.broken = True
    assert guest.method(BLOCK_IO, "ReadBlocks", at, 0, 0, 512, buffer) == Status.DEVICE_ERROR
    assert ("disk-damaged", "the disk is broken") in guest.observer.findings


def test_reading_bytes(guest, device):
    at = interface(guest, handle_of(guest, pci(0, 0x10, 0)), guids.DISK_IO)
    buffer = guest.room(1024)
    assert guest.method(DISK_IO, "ReadDisk", at, 0, 5119, 700, buffer) == 0
    assert guest.bytes_at(buffer, 700) == device.data[5119:5819]
    assert guest.method(DISK_IO, "ReadDisk", at, 0, 70 * 512 - 1, 2, buffer) == Status.INVALID_PARAMETER
    assert guest.method(DISK_IO, "ReadDisk", at, 7, 0, 2, buffer) == Status.MEDIA_CHANGED


def test_nothing_can_be_written(guest):
    handle, data = handle_of(guest, PARTITION), guest.put(bytes(512))
    assert guest.method(BLOCK_IO, "WriteBlocks", interface(guest, handle, guids.BLOCK_IO), 0, 0, 512, data) == (
        Status.WRITE_PROTECTED
    )
    assert guest.method(DISK_IO, "WriteDisk", interface(guest, handle, guids.DISK_IO), 0, 0, 5, data) == (
        Status.WRITE_PROTECTED
    )
    assert guest.method(BLOCK_IO, "FlushBlocks", interface(guest, handle, guids.BLOCK_IO)) == 0
    assert guest.method(BLOCK_IO, "Reset", interface(guest, handle, guids.BLOCK_IO), 1) == 0


class Logical(Device):
    """The same volume as a logical partition, on a disk whose blocks have 4096 bytes."""

    block_size = 4096

    def __init__(self):
        volume = Device().data[5120 : 5120 + 50 * 512]
        outer, inner = (
            bytes(440) + signature + b"\0\0" + struct.pack("<B3sB3sII", 0, b"", kind, b"", at, size).ljust(64, b"\0")
            for signature, kind, at, size in ((b"DISK", 0x0F, 4, 20), (bytes(4), 0xEF, 2, 7))
        )
        blocks = [outer + b"\x55\xaa", b"", b"", b"", inner + b"\x55\xaa", b""]
        self.data = b"".join(each.ljust(4096, b"\0") for each in blocks) + volume.ljust(18 * 4096, b"\0")
        self.blocks = 24
        self.broken = False

    def read(self, block, count):
        assert block + count <= self.blocks
        return self.data[block * 4096 : (block + count) * 4096]


def test_a_logical_partition_on_a_disk_of_large_blocks(power_on):
    """Its path leads through the extended partition, as EDK2's does."""
    guest = power_on(disks=[Logical()])
    guest.start()
    extended = pci(0, 0x10, 0) + hard_drive(1, 4, 20, b"DISK".ljust(16, b"\0"), 1)
    logical = extended + hard_drive(1, 6, 7, bytes(16), 1)
    assert handle_of(guest, extended) != handle_of(guest, logical)
    at = interface(guest, handle_of(guest, logical), guids.BLOCK_IO)
    assert struct.unpack("<I", guest.bytes_at(guest.u64(at + 8) + 12, 4)) == (4096,)
    assert guest.u64(guest.u64(at + 8) + 24) == 6
    buffer = guest.room(4096)
    assert guest.method(BLOCK_IO, "ReadBlocks", at, 0, 0, 4096, buffer) == 0
    assert guest.bytes_at(buffer, 3) == b"\xeb\x3c\x90"
    assert guest.method(BLOCK_IO, "ReadBlocks", at, 0, 0, 512, buffer) == Status.BAD_BUFFER_SIZE
    assert handle_of(guest, logical, guids.SIMPLE_FILE_SYSTEM) == handle_of(guest, logical)


def test_partition_information(guest, device):
    at = interface(guest, handle_of(guest, PARTITION), guids.PARTITION_INFO)
    assert struct.unpack("<IIB", guest.bytes_at(at, 9)) == (0x1000, 1, 1)
    assert guest.bytes_at(at + 16, 16) == device.data[446:462]


@pytest.fixture
def app(guest):
    """A guest whose disk holds an image."""
    image = guest.image(name="file")
    return guest, image


def load(guest, path, source=0, size=0):
    at = guest.put(0)
    status = guest.call("LoadImage", 0, guest.payload, guest.put(path + END), source, size, at)
    return status, guest.u64(at)


def loaded_image(guest, handle):
    at = interface(guest, handle, guids.LOADED_IMAGE)
    return guest.u64(at + 24), guest.u64(at + 32)


def test_an_image_from_a_file_system(app):
    guest, _ = app
    status, handle = load(guest, PARTITION + file_path("\\app.efi"))
    assert status == 0
    device, path = loaded_image(guest, handle)
    assert device == handle_of(guest, PARTITION)
    assert guest.bytes_at(path, 26) == (file_path("\\app.efi") + END)[:26]
    whole = interface(guest, handle, guids.LOADED_IMAGE_DEVICE_PATH)
    assert guest.bytes_at(whole, len(PARTITION)) == PARTITION
    assert guest.firmware.images.get(handle).name == "app.efi"


def test_a_second_image_of_that_name_has_another(app):
    guest, _ = app
    names = {guest.firmware.images.get(load(guest, PARTITION + file_path("app.efi"))[1]).name for _ in range(2)}
    assert names == {"app.efi", "app.efi-2"}


def test_an_image_from_memory_that_says_where_it_came_from(app):
    guest, image = app
    status, handle = load(guest, PARTITION + file_path("\\other.efi"), guest.put(image.file), len(image.file))
    assert status == 0
    assert loaded_image(guest, handle)[0] == handle_of(guest, PARTITION)


@pytest.mark.parametrize("name", ["nothing.efi", "APP.EFI\\x", ""])
def test_an_image_that_is_not_there(app, name):
    guest, _ = app
    assert load(guest, PARTITION + file_path(name))[0] in (Status.NOT_FOUND, Status.LOAD_ERROR)


def test_a_path_that_leads_nowhere(app):
    guest, _ = app
    assert load(guest, pci(7, 7, 7))[0] == Status.NOT_FOUND
    assert load(guest, pci(0, 0x10, 0) + file_path("app.efi"))[0] == Status.NOT_FOUND


def test_memory_is_given_back_when_a_file_is_no_image(guest):
    before = guest.memory_types()
    assert load(guest, PARTITION + file_path("\\app.efi"))[0] == Status.LOAD_ERROR
    assert guest.memory_types() == before


def test_an_image_by_load_file2_of_the_guest(guest):
    image = guest.image(name="from LoadFile2")
    seen = []

    def load_file(this, path, policy, size_at):
        buffer = guest.u64(guest.cpu.registers["rsp"] + 0x28)
        seen.append((guest.bytes_at(path, 4), policy))
        room = guest.u64(size_at)
        guest.memory.write(size_at, len(image.file).to_bytes(8, "little"))
        if not buffer or room < len(image.file):
            return Status.BUFFER_TOO_SMALL
        guest.memory.write(buffer, image.file)
        return 0

    interface_at = guest.put(guest.function(load_file))
    handle = guest.put(0)
    for guid, at in ((guids.DEVICE_PATH, guest.put(pci(9, 9, 0) + END)), (guids.LOAD_FILE2, interface_at)):
        assert guest.call("InstallProtocolInterface", handle, guest.put(guid), 0, at) == 0
    status, loaded = load(guest, pci(9, 9, 0))
    assert status == 0
    assert guest.firmware.images.get(loaded).file is image
    assert seen == [(END, 0), (END, 0)]
