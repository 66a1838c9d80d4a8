from dataclasses import replace

import pytest

from efi_services import guids
from efi_services.abi import X86_64
from efi_services.guest_images import MOST
from efi_services.memory_map import PAGE, AllocateType, MemoryType
from efi_services.protocols.loaded_image import LoadedImage


def tell(guest, base, size, handle=None):
    """Do what a loader does: write where its image lies into a LoadedImage."""
    interface = guest.firmware.handles.get(handle or guest.payload, guids.LOADED_IMAGE).interface
    loaded = LoadedImage.unpack(X86_64, guest.bytes_at(interface, 96))
    guest.memory.write(interface, replace(loaded, image_base=base, image_size=size).pack(X86_64))


@pytest.fixture
def pages(guest):
    """Memory that the guest has: four pages."""
    return guest.firmware.allocate_pages(AllocateType.AnyPages, MemoryType.LoaderCode, 4)


def test_an_image_that_the_guest_loaded_is_found_by_its_call(guest, pages):
    images = guest.firmware.images
    assert images.name_of_caller(pages + 0x1010) == ""
    tell(guest, pages, 3 * PAGE)
    assert images.name_at(pages + 0x1010) == ""
    assert images.name_of_caller(pages + 0x1010) == "child-1"
    assert images.name_at(pages) == images.name_at(pages + 3 * PAGE - 1) == "child-1"
    assert images.name_at(pages + 3 * PAGE) == ""
    assert (pages, "child-1") in guest.observer.named
    assert [(each.base, each.end, each.file) for each in images.by_guests] == [(pages, pages + 3 * PAGE, None)]


def test_it_is_known_for_good_and_its_loader_too(guest, pages):
    images = guest.firmware.images
    payload = images.get(guest.payload)
    tell(guest, pages, PAGE)
    assert images.name_of_caller(pages) == "child-1"
    tell(guest, payload.base, payload.size)
    assert images.name_of_caller(pages) == "child-1"
    assert images.name_of_caller(payload.base) == "payload.efi"


def test_a_loader_may_make_a_handle_of_its_own_for_it(guest, pages):
    interface = guest.put(LoadedImage(image_base=pages, image_size=PAGE).pack(X86_64))
    guest.firmware.install(0, guids.LOADED_IMAGE, interface)
    assert guest.firmware.images.name_of_caller(pages + 8) == "child-1"


def test_the_file_is_known_where_an_image_carries_it(guest, pages):
    inner = guest.image(name="inner", size=2 * PAGE, kernel_entry=0x40)
    other = guest.image(name="other", size=PAGE)
    guest.firmware.images.get(guest.payload).file.carried = (other, inner)
    tell(guest, pages, 2 * PAGE)
    guest.firmware.images.name_of_caller(pages)
    assert [each.file for each in guest.firmware.images.by_guests] == [inner]


@pytest.mark.parametrize("size", [0, 1 << 40, (1 << 64) - 1])
def test_a_lie_about_memory_that_is_not_the_guests_is_not_believed(guest, pages, size):
    tell(guest, pages, size)
    assert guest.firmware.images.name_of_caller(pages) == ""


def test_the_firmware_itself_is_no_guests_image(guest):
    start, end = guest.firmware.gates.ranges[0]
    tell(guest, start, end - start)
    assert guest.firmware.images.name_of_caller(start) == ""


def test_an_interface_where_no_memory_is_does_no_harm(guest, pages):
    guest.firmware.install(0, guids.LOADED_IMAGE, 1 << 60)
    tell(guest, pages, PAGE)
    assert guest.firmware.images.name_of_caller(pages) == "child-1"


def test_it_goes_with_its_memory(guest, pages):
    tell(guest, pages, PAGE)
    guest.firmware.images.name_of_caller(pages)
    guest.firmware.free_pages(pages + 2 * PAGE, 2)
    assert guest.firmware.images.name_at(pages) == "child-1"
    guest.firmware.free_pages(pages, 1)
    assert guest.firmware.images.name_at(pages) == ""


def test_there_is_an_end_to_them(guest):
    images = guest.firmware.images
    start = guest.firmware.allocate_pages(AllocateType.AnyPages, MemoryType.LoaderCode, MOST + 1)
    for page in range(MOST + 1):
        tell(guest, start + page * PAGE, PAGE)
        images.name_of_caller(start + page * PAGE)
    assert len(list(images.by_guests)) == MOST
    assert images.name_at(start + MOST * PAGE) == ""
