"""The three protocols about device paths, as a guest calls them: without the interface."""

import pytest

from efi_services.device_path import END, INSTANCE_END, file_path, pci
from efi_services.guids import Guid

UTILITIES, TO_TEXT, FROM_TEXT = (f"EFI_DEVICE_PATH_{each}_PROTOCOL" for each in ("UTILITIES", "TO_TEXT", "FROM_TEXT"))
GUID = {
    UTILITIES: Guid("0379be4e-d706-437d-b037-edb82fb772a4"), TO_TEXT: Guid("8b843e20-8132-4852-90cc-551a4e4a7f1c"),
    FROM_TEXT: Guid("05c99a21-c70f-4ad2-8a5f-35df3343f51e"),
}  # fmt: skip
PATH = pci(0, 3, 0) + END


@pytest.fixture
def call(guest):
    def made(protocol, name, *arguments):
        return guest.function_of(protocol, name, guest.protocol(GUID[protocol]), *arguments)

    return made


def test_sizes_and_copies(guest, call):
    at = guest.put(PATH)
    assert call(UTILITIES, "GetDevicePathSize", at) == len(PATH)
    assert call(UTILITIES, "GetDevicePathSize", 0) == 0
    copy = call(UTILITIES, "DuplicateDevicePath", at)
    assert copy != at
    assert guest.bytes_at(copy, len(PATH)) == PATH
    assert guest.call("FreePool", copy) == 0


def test_appending(guest, call):
    file = file_path("a")
    whole = PATH[:-4] + file + END
    for made in (
        call(UTILITIES, "AppendDevicePath", guest.put(PATH), guest.put(file + END)),
        call(UTILITIES, "AppendDeviceNode", guest.put(PATH), guest.put(file)),
    ):
        assert guest.bytes_at(made, len(whole)) == whole
    assert guest.bytes_at(call(UTILITIES, "AppendDevicePath", 0, 0), 4) == END
    assert call(UTILITIES, "AppendDeviceNode", 0, guest.put(bytes(4))) == 0


def test_instances(guest, call):
    both = call(UTILITIES, "AppendDevicePathInstance", guest.put(PATH), guest.put(file_path("b") + END))
    assert guest.bytes_at(both, len(PATH)) == PATH[:-4] + INSTANCE_END
    assert call(UTILITIES, "IsDevicePathMultiInstance", both) == 1
    assert call(UTILITIES, "IsDevicePathMultiInstance", guest.put(PATH)) == 0
    at, size = guest.put(both), guest.room()
    first = call(UTILITIES, "GetNextDevicePathInstance", at, size)
    assert guest.bytes_at(first, guest.u64(size)) == PATH
    second = call(UTILITIES, "GetNextDevicePathInstance", at, size)
    assert guest.bytes_at(second, guest.u64(size)) == file_path("b") + END
    assert guest.u64(at) == 0
    assert call(UTILITIES, "GetNextDevicePathInstance", at, size) == 0


def test_nodes(guest, call):
    made = call(UTILITIES, "CreateDeviceNode", 4, 4, 10)
    assert guest.bytes_at(made, 10) == b"\4\4\x0a\0" + bytes(6)
    assert call(UTILITIES, "CreateDeviceNode", 4, 4, 3) == 0


def test_words(guest, call):
    text = call(TO_TEXT, "ConvertDevicePathToText", guest.put(PATH), 0, 0)
    assert guest.bytes_at(text, 50).decode("utf-16-le").partition("\0")[0] == "PciRoot(0x0)/Pci(0x3,0x0)"
    path = call(FROM_TEXT, "ConvertTextToDevicePath", text)
    assert guest.bytes_at(path, len(PATH)) == PATH
    node = call(FROM_TEXT, "ConvertTextToDeviceNode", guest.put("Pci(1,2)"))
    assert guest.bytes_at(node, 6) == b"\1\1\6\0\2\1"
    text = call(TO_TEXT, "ConvertDeviceNodeToText", node, 0, 0)
    assert guest.bytes_at(text, 26).decode("utf-16-le").partition("\0")[0] == "Pci(0x1,0x2)"
    assert call(FROM_TEXT, "ConvertTextToDevicePath", guest.put("Pci(x)")) == 0
    assert call(FROM_TEXT, "ConvertTextToDevicePath", 0) == 0


def test_a_path_without_an_end_is_null_and_not_a_status(guest, call):
    assert call(TO_TEXT, "ConvertDevicePathToText", guest.put(b"\1\1\0\0"), 0, 0) == 0
    assert call(UTILITIES, "DuplicateDevicePath", guest.put(b"\1\1\1\0")) == 0
