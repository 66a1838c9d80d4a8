"""EFI_SECURITY2_ARCH_PROTOCOL: LoadImage asks through its slot, whoever has put what there."""

import pytest

from efi_services.dispatch import RunEnds
from efi_services.guids import SECURITY2_ARCH, SECURITY_ARCH
from efi_services.status import Status

NAME = "EFI_SECURITY2_ARCH_PROTOCOL"
PATH = b"\4\4\6\0a\0\x7f\xff\4\0"


@pytest.fixture
def security(guest):
    return guest.protocol(SECURITY2_ARCH)


def load(guest, name="child"):
    image, out = guest.image(name=name), guest.put(0xBAD)
    source = guest.put(image.file)
    status = guest.call("LoadImage", 1, guest.payload, guest.put(PATH), source, len(image.file), out)
    return status, guest.u64(out), source


def replace(guest, security, body):
    guest.memory.write(security, guest.function(body).to_bytes(8, "little"))


def test_a_load_image_asks(guest):
    status, handle, source = load(guest)
    assert status == Status.SUCCESS
    assert guest.firmware.images.get(handle).trusted
    asked = guest.observer.ended[-2]
    assert (asked.service, asked.protocol, asked.depth) == ("FileAuthentication", NAME, 1)
    assert asked.parent == guest.observer.ended[-1].seq
    assert asked.arguments["file_buffer"] == f"{source:#x}"
    assert asked.arguments["boot_policy"] is True


def test_who_replaces_the_function_decides(guest, security):
    seen = []

    def refuse(*arguments):
        seen.append((*arguments[:1], guest.bytes_at(arguments[1], len(PATH)), *arguments[2:]))
        return Status.ACCESS_DENIED

    replace(guest, security, refuse)
    handles = list(guest.firmware.handles)
    status, handle, source = load(guest)
    assert (status, handle) == (Status.ACCESS_DENIED, 0)
    assert seen == [(security, PATH, source, len(b"MZchild"))]
    assert list(guest.firmware.handles) == handles


def test_an_untrusted_image_is_there_and_cannot_be_started(guest, security):
    replace(guest, security, lambda *_: Status.SECURITY_VIOLATION)
    status, handle, _ = load(guest)
    assert status == Status.SECURITY_VIOLATION
    assert guest.call("StartImage", handle, 0, 0) == Status.SECURITY_VIOLATION
    assert guest.call("UnloadImage", handle) == Status.SUCCESS


def test_what_is_decided_on_is_what_is_loaded_afterwards(guest, security):
    other = guest.image(name="other")

    def exchange(_this, _path, source, _size):
        guest.memory.write(source, other.file)

    replace(guest, security, exchange)
    status, handle, _ = load(guest)
    assert status == Status.SUCCESS
    assert guest.firmware.images.get(handle).file is other


def test_path_and_file_are_where_the_caller_has_them(guest, security):
    """By that systemd's stub knows the kernel that it vouches for."""
    seen = []
    replace(guest, security, lambda _this, path, source, *_: seen.append((path, source)) or Status.ACCESS_DENIED)
    path, source = guest.put(PATH), guest.put(guest.image(name="mine").file)
    guest.call("LoadImage", 0, guest.payload, path, source, 6, guest.room())
    assert seen == [(path, source)]


def test_a_path_of_the_firmwares_own_goes_again(guest, security):
    """Where the caller says none."""
    seen = []
    replace(guest, security, lambda _this, path, *_: seen.append(path) or Status.ACCESS_DENIED)
    file = guest.image(name="mine").file
    guest.call("LoadImage", 0, guest.payload, 0, guest.put(file), len(file), guest.room())
    assert guest.call("FreePool", seen[0]) == Status.INVALID_PARAMETER


def test_a_wild_pointer_in_the_slot_is_where_the_cpu_goes(guest, security):
    guest.memory.write(security, (0x6666_0000).to_bytes(8, "little"))
    with pytest.raises(AssertionError, match="went to 0x66660000"):
        load(guest)


@pytest.mark.parametrize(
    ("file", "buffer", "size", "status"),
    [
        (0, 0, 0, Status.INVALID_PARAMETER),
        (PATH, 0, 0, Status.SUCCESS),
        (0, b"no image", 8, Status.SUCCESS),
        (PATH, b"no image", 1 << 31, Status.OUT_OF_RESOURCES),
    ],
)
def test_its_arguments(guest, security, file, buffer, size, status):
    arguments = (guest.put(each) if each else 0 for each in (file, buffer))
    assert guest.method(NAME, "FileAuthentication", security, *arguments, size, 0) == status


def test_a_source_that_is_no_memory_is_the_callers_fault(guest, security):
    with pytest.raises(RunEnds, match="FileAuthentication"):
        guest.method(NAME, "FileAuthentication", security, 0, 0x10, 8, 0)


def test_files_of_firmware_volumes_pass(guest):
    older = guest.protocol(SECURITY_ARCH)
    name = "EFI_SECURITY_ARCH_PROTOCOL"
    assert guest.method(name, "FileAuthenticationState", older, 0, guest.put(PATH)) == Status.SUCCESS
    assert guest.method(name, "FileAuthenticationState", older, 0, 0) == Status.INVALID_PARAMETER
