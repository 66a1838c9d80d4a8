import pytest

from efi_services import status
from efi_services.status import EfiError, Status, Unimplemented

# UEFI 2.10, appendix D.
ERRORS = {
    "LOAD_ERROR": 1, "INVALID_PARAMETER": 2, "UNSUPPORTED": 3, "BAD_BUFFER_SIZE": 4, "BUFFER_TOO_SMALL": 5,
    "NOT_READY": 6, "DEVICE_ERROR": 7, "WRITE_PROTECTED": 8, "OUT_OF_RESOURCES": 9, "VOLUME_CORRUPTED": 10,
    "VOLUME_FULL": 11, "NO_MEDIA": 12, "MEDIA_CHANGED": 13, "NOT_FOUND": 14, "ACCESS_DENIED": 15, "NO_RESPONSE": 16,
    "NO_MAPPING": 17, "TIMEOUT": 18, "NOT_STARTED": 19, "ALREADY_STARTED": 20, "ABORTED": 21, "ICMP_ERROR": 22,
    "TFTP_ERROR": 23, "PROTOCOL_ERROR": 24, "INCOMPATIBLE_VERSION": 25, "SECURITY_VIOLATION": 26, "CRC_ERROR": 27,
    "END_OF_MEDIA": 28, "END_OF_FILE": 31, "INVALID_LANGUAGE": 32, "COMPROMISED_DATA": 33, "IP_ADDRESS_CONFLICT": 34,
    "HTTP_ERROR": 35,
}  # fmt: skip


def test_the_errors_are_those_of_the_specification():
    assert {each.name: each.value - (1 << 63) for each in Status if status.is_error(each)} == ERRORS


def test_warnings_are_no_errors():
    assert [each for each in Status if not status.is_error(each)] == list(range(8))


@pytest.mark.parametrize("each", list(Status))
def test_a_32_bit_guest_sees_the_error_in_its_own_highest_bit(each):
    narrow = status.encode(each, 4)
    assert narrow < 1 << 32
    assert bool(narrow >> 31) == status.is_error(each)
    assert status.decode(narrow, 4) == each
    assert status.encode(each, 8) == status.decode(each, 8) == each


def test_names():
    assert status.name(0) == "EFI_SUCCESS"
    assert status.name(0x8000_0000_0000_000E) == "EFI_NOT_FOUND"
    assert status.name(0x1234) == "0x1234"


def test_what_is_not_implemented_is_unsupported_for_the_guest():
    assert Unimplemented().status is Status.UNSUPPORTED
    assert str(EfiError(Status.NOT_FOUND)) == "EFI_NOT_FOUND"
