import pytest

from efi_services.status import Status
from efi_services.types import Guid

PROTOCOLS = {
    "EFI_UNICODE_COLLATION_PROTOCOL": ("1d85cd7f-f43d-11d2-9a0c-0090273fc14d", b"eng\0"),
    "EFI_UNICODE_COLLATION_PROTOCOL2": ("a4c751fc-23ae-4c3e-92e9-4964cf63f349", b"en\0"),
}


@pytest.fixture(params=PROTOCOLS)
def call(request, guest):
    interface = guest.protocol(Guid(PROTOCOLS[request.param][0]))
    return lambda method, *arguments: guest.method(request.param, method, interface, *arguments)


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def test_comparing(guest, call):
    text = guest.put("Shell.efi")
    assert call("StriColl", text, guest.put("SHELL.EFI")) == 0
    assert signed(call("StriColl", text, guest.put("shell.efj"))) == -1
    assert call("StriColl", guest.put("b"), guest.put("A")) == 1
    assert call("MetaiMatch", text, guest.put("*.EFI")) == 1
    assert call("MetaiMatch", text, guest.put("*.nsh")) == 0


def test_case_is_changed_in_place(guest, call):
    text = guest.put("aBcÄ")
    call("StrUpr", text)
    assert guest.bytes_at(text, 10) == "ABCÄ\0".encode("utf-16-le")
    call("StrLwr", text)
    assert guest.bytes_at(text, 10) == "abcä\0".encode("utf-16-le")


def test_names_of_fat(guest, call):
    text, name = guest.room(32), guest.put(b"BOOT\0EFI")
    call("FatToStr", 8, name, text)
    assert guest.bytes_at(text, 12) == "BOOT\0".encode("utf-16-le") + b"\xa5\xa5"
    call("FatToStr", 2, name, text)
    assert guest.bytes_at(text, 6) == "BO\0".encode("utf-16-le")
    room = guest.room(16)
    assert call("StrToFat", guest.put("boot.efi"), 8, room) == 0
    assert guest.bytes_at(room, 8) == b"BOOTEFI\xa5"
    assert call("StrToFat", guest.put("a+b"), 8, room) == 1


@pytest.mark.parametrize("name", PROTOCOLS)
def test_languages(guest, name):
    guid, languages = PROTOCOLS[name]
    assert guest.bytes_at(guest.u64(guest.protocol(Guid(guid)) + 48), len(languages)) == languages


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_platform_without(power_on, name):
    guest = power_on(hii=False)
    assert guest.call("LocateProtocol", guest.put(Guid(PROTOCOLS[name][0])), 0, guest.room()) == Status.NOT_FOUND
