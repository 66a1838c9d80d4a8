"""Names of GUIDs: what we name, what others name, and what nobody knows."""

from efi_services import guids
from efi_services.service import PROTOCOLS
from efi_services.types import Guid


def test_own_names():
    assert guids.name_of(guids.LOADED_IMAGE) == "EFI_LOADED_IMAGE_PROTOCOL"
    assert guids.name_of(guids.LINUX_EFI_INITRD_MEDIA) == "LINUX_EFI_INITRD_MEDIA"


def test_names_from_elsewhere():
    assert guids.name_of(Guid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")) == "EfiCertX509"


def test_an_unknown_guid_is_itself():
    unknown = Guid("12345678-1234-1234-1234-123456789abc")
    assert guids.name_of(unknown) == str(unknown)


def test_a_declared_protocol_has_the_name_of_its_declaration():
    import efi_services.firmware  # noqa: F401 - importing it declares the protocols

    # EFI_FILE_PROTOCOL has none: it comes from OpenVolume and Open alone.
    for declared in (each for each in PROTOCOLS.values() if each.guid is not None):
        assert guids.name_of(declared.guid) == declared.name
