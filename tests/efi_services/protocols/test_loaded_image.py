from efi_services import guids
from efi_services.abi import X86_64
from efi_services.device_path import file_path, nodes, vendor_hardware
from efi_services.protocols.loaded_image import LoadedImage


def test_an_image_finds_itself(guest):
    out = guest.room()
    assert guest.call("HandleProtocol", guest.payload, guest.put(guids.LOADED_IMAGE), out) == 0
    told = LoadedImage.unpack(X86_64, guest.bytes_at(guest.u64(out), 96))
    assert told.image_base == guest.firmware.images.current.base
    assert told.file_path
    assert told.device_handle
    assert (told.reserved, told.unload) == (0, 0)


def test_an_image_has_the_path_that_it_was_loaded_from(guest):
    out = guest.room()
    assert guest.call("HandleProtocol", guest.payload, guest.put(guids.LOADED_IMAGE_DEVICE_PATH), out) == 0
    device, file = nodes(guest.bytes_at(guest.u64(out), 100))
    assert device == vendor_hardware(guids.SHIM_PAYLOAD)
    assert file == file_path("\\payload.efi")
