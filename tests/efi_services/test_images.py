import pytest

from efi_services import guids
from efi_services.abi import X86_64
from efi_services.dispatch import RunEnds
from efi_services.memory_map import MemoryType
from efi_services.ports import Access
from efi_services.protocols.loaded_image import LoadedImage
from efi_services.status import EfiError, Status


def loaded_image(guest, handle):
    at = guest.firmware.handles.get(handle, guids.LOADED_IMAGE).interface
    return LoadedImage.unpack(X86_64, guest.bytes_at(at, 96))


def test_the_payload(power_on):
    guest = power_on()
    handle = guest.start(size=0x2800, command_line="root=/dev/vda ü")
    image = guest.firmware.images.get(handle)
    told = loaded_image(guest, handle)
    assert told.revision == 0x1000
    assert told.parent_handle == 0
    assert told.system_table == guest.firmware.system_table
    assert (told.image_base, told.image_size) == (image.base, 0x2800)
    assert (told.image_code_type, told.image_data_type) == (MemoryType.LoaderCode, MemoryType.LoaderData)
    options = guest.bytes_at(told.load_options, told.load_options_size)
    assert options == "root=/dev/vda ü\0".encode("utf-16-le")
    path = guest.bytes_at(told.file_path, 100)
    assert path.startswith(b"\4\4" + (4 + 2 * len("\\payload.efi\0")).to_bytes(2, "little"))
    device = guest.firmware.handles.get(told.device_handle, guids.DEVICE_PATH).interface
    assert guest.bytes_at(device, 4) == b"\1\4\x14\0"
    # The path from the device on is a part of the whole path.
    whole = guest.firmware.handles.get(handle, guids.LOADED_IMAGE_DEVICE_PATH).interface
    assert whole + 0x14 == told.file_path
    assert guest.bytes_at(whole, 0x14) == guest.bytes_at(device, 0x14)


def test_the_payload_starts_as_a_function(power_on):
    guest = power_on()
    handle = guest.start()
    registers = guest.cpu.registers
    assert (registers["rcx"], registers["rdx"]) == (handle, guest.firmware.system_table)
    assert registers["rsp"] % 16 == 8
    assert guest.u64(registers["rsp"]) == guest.firmware.dispatcher.return_gate


def test_without_a_command_line_there_are_no_options(power_on):
    guest = power_on()
    told = loaded_image(guest, guest.start())
    assert (told.load_options, told.load_options_size) == (0, 0)
    other = power_on()
    told = loaded_image(other, other.start(command_line=""))
    assert told.load_options_size == 2


def test_contents_and_permissions(guest):
    image = guest.firmware.images.get(guest.payload)
    assert guest.bytes_at(image.base, 0x3000) == image.file.place(0).ljust(0x3000, b"\0")
    pages = [guest.mmu.access(image.base + offset) for offset in (0, 0x1000, 0x2000)]
    assert pages == [Access.READ, Access.RX, Access.RW]
    assert guest.firmware.memory_map.at(image.base).type is MemoryType.LoaderCode
    assert guest.firmware.images.name_at(image.base) == guest.firmware.images.name_at(image.end - 1) == "payload.efi"
    assert guest.firmware.images.name_at(image.end) == ""
    assert (image.base, image.base + 0x400, "image", "payload.efi headers") in guest.observer.regions


@pytest.mark.parametrize(
    ("subsystem", "code", "data"),
    [
        (10, "LoaderCode", "LoaderData"),
        (11, "BootServicesCode", "BootServicesData"),
        (12, "RuntimeServicesCode", "RuntimeServicesData"),
    ],
)
def test_the_kind_of_an_image_decides_its_memory(guest, subsystem, code, data):
    handle = guest.load(subsystem=subsystem, name="driver")
    told = loaded_image(guest, handle)
    assert (told.image_code_type, told.image_data_type) == (MemoryType[code], MemoryType[data])
    assert guest.firmware.memory_map.at(told.image_base).type is MemoryType[code]
    assert told.parent_handle == guest.payload


@pytest.mark.parametrize("alignment", [0x200, 0x1000, 0x1_0000, 0x8_0000])
def test_alignment(guest, alignment):
    told = loaded_image(guest, guest.load(alignment=alignment, name="aligned"))
    assert told.image_base % max(alignment, 0x1000) == 0


def test_an_image_that_can_lie_in_one_place_only(guest):
    first = guest.load(fixed_base=0x20_0000, name="fixed")
    assert loaded_image(guest, first).image_base == 0x20_0000
    used = guest.firmware.memory_map.used
    for base in (0x20_0000, 0x20_1000, 0x20_0800, 0x9000_0000):
        with pytest.raises(EfiError) as refused:
            load(guest, fixed_base=base)
        assert refused.value.status is Status.LOAD_ERROR
    assert guest.firmware.memory_map.used == used
    assert {kind for kind, _ in guest.observer.findings} == {"image-refused"}


def load(guest, **fields):
    image = guest.image(**fields)
    return guest.firmware.images.load(image.file, b"\x7f\xff\4\0", 0, image.name)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"architecture": "aarch64"}, Status.UNSUPPORTED),
        ({"architecture": "aarch64", "compatible_entries": {"i386": 0x1020}}, Status.UNSUPPORTED),
        ({"place_fails": True}, Status.LOAD_ERROR),
        ({"size": 1 << 40}, Status.OUT_OF_RESOURCES),
    ],
)
def test_what_is_refused_leaves_nothing_behind(guest, fields, status):
    used, handles = guest.firmware.memory_map.used, list(guest.firmware.handles)
    with pytest.raises(EfiError) as refused:
        load(guest, **fields)
    assert refused.value.status is status
    assert guest.firmware.memory_map.used == used
    assert list(guest.firmware.handles) == handles


def test_an_image_for_another_machine_starts_where_it_says_that_this_one_may(guest):
    image = load(guest, architecture="aarch64", entry=0x1010, compatible_entries={"i386": 0x1020, "x86_64": 0x1030})
    assert image.entry - image.base == 0x1030


@pytest.mark.parametrize(("data", "status"), [(b"MZ junk", Status.LOAD_ERROR), (b"\x7fELF", Status.UNSUPPORTED)])
def test_what_is_no_image(guest, data, status):
    with pytest.raises(EfiError) as refused:
        guest.firmware.images.load(data, b"\x7f\xff\4\0", 0, "junk")
    assert refused.value.status is status
    assert guest.observer.findings[-1] == ("image-refused", "junk: it is no image")


def test_memory_for_the_image_but_not_for_its_handle(guest):
    firmware = guest.firmware
    firmware.pool.allocate(MemoryType.LoaderData, 8)
    free = [each for each in firmware.memory_map if each.type is MemoryType.ConventionalMemory]
    image = guest.image(size=sum(each.end - each.start for each in free), name="large")
    before = firmware.memory_map.used
    # The small pieces that are left in the pool's pages are too small for this device path.
    with pytest.raises(EfiError) as refused:
        firmware.images.load(image.file, b"\1\4\0\x20".ljust(0x2000, b"p"), 0, "large")
    assert refused.value.status is Status.OUT_OF_RESOURCES
    assert firmware.memory_map.used == before


def test_the_payload_returns(power_on):
    guest = power_on()
    guest.start()
    with pytest.raises(RunEnds) as ended:
        guest.leave_start(Status.LOAD_ERROR)
    assert (ended.value.kind, ended.value.status) == ("returned", Status.LOAD_ERROR)


def test_unloading_forgets_everything(guest):
    handle = guest.load(name="child")
    image = guest.firmware.images.get(handle)
    used, regions = guest.firmware.memory_map.used, len(guest.observer.regions)
    guest.firmware.images.unload(image)
    assert handle not in guest.firmware.handles
    assert guest.firmware.memory_map.used <= used - image.size
    assert guest.mmu.access(image.base + 0x1000) is Access.RW
    assert (image.base, image.end, None, None) in guest.observer.regions[regions:]
    assert guest.firmware.images.name_at(image.base) == ""
    with pytest.raises(EfiError):
        guest.firmware.images.get(handle)
    # Twice is once.
    again = guest.load(name="child")
    guest.firmware.images.unload(image)
    assert guest.firmware.images.get(again).handle == again


def test_loading_and_unloading_for_ever(guest):
    def round_trip():
        guest.firmware.images.unload(guest.firmware.images.get(load(guest, name="child").handle))
        return guest.firmware.memory_map.used

    round_trip()
    assert len({round_trip() for _ in range(50)}) == 1


def test_unloading_an_image_that_others_use_and_that_freed_its_own_memory(guest):
    handle = guest.load(name="child")
    image = guest.firmware.images.get(handle)
    guest.firmware.handles.open(handle, guids.LOADED_IMAGE, guest.payload, guest.payload, 0x30)
    device = loaded_image(guest, guest.payload).device_handle
    guest.firmware.handles.open(device, guids.DEVICE_PATH, handle, device, 0x10)
    assert guest.call("FreePages", image.base, 1) == Status.SUCCESS
    assert guest.call("FreePool", image.path) == Status.SUCCESS
    guest.firmware.images.unload(image)
    assert handle not in guest.firmware.handles
    assert guest.firmware.handles.openings(device, guids.DEVICE_PATH) == []


def test_the_current_image(power_on):
    guest = power_on()
    assert guest.firmware.images.current is None
    handle = guest.start()
    assert guest.firmware.images.current.handle == handle
    assert [each.handle for each in guest.firmware.images] == [handle]
