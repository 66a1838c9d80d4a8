import pytest

from efi_services.protocols.hii_database import MAX_KEPT
from efi_services.status import Status
from efi_services.types import Guid
from packages_of_strings import listed, strings

DATABASE, STRING = "EFI_HII_DATABASE_PROTOCOL", "EFI_HII_STRING_PROTOCOL"
GUIDS = {DATABASE: "ef9fc172-a1b2-4693-b327-6d32fc416042", STRING: "0fd96974-23aa-4cdc-b9cb-98d17750322a"}


@pytest.fixture
def database(guest):
    interface = guest.protocol(Guid(GUIDS[DATABASE]))
    return lambda method, *arguments: guest.method(DATABASE, method, interface, *arguments)


@pytest.fixture
def string(guest):
    interface = guest.protocol(Guid(GUIDS[STRING]))
    return lambda method, *arguments: guest.method(STRING, method, interface, *arguments)


@pytest.fixture
def handle(guest, database):
    """A list of packages in two languages, of the driver 0x123."""
    at = guest.room()
    data = listed(strings("en-US", "one", "two"), strings("fr", "un"))
    assert database("NewPackageList", guest.put(data), 0x123, at) == Status.SUCCESS
    return guest.u64(at)


@pytest.fixture
def get(guest, string):
    """GetString with room for so many bytes: the status, the size told, and the text."""

    def ask(handle, number, language="en-US", room=64):
        size, at = guest.put(room), guest.room(64)
        language = guest.put(language.encode() + b"\0")
        status = string("GetString", language, handle, number, at if room else 0, size, 0)
        text = guest.bytes_at(at, guest.u64(size)).decode("utf-16-le") if status == 0 else None
        return Status(status), guest.u64(size), text

    return ask


def test_strings(handle, get):
    assert get(handle, 2) == (Status.SUCCESS, 8, "two\0")
    assert get(handle, 2, "EN-us") == (Status.SUCCESS, 8, "two\0")
    assert get(handle, 1, "fr") == (Status.SUCCESS, 6, "un\0")
    assert get(handle, 1, room=0) == (Status.BUFFER_TOO_SMALL, 8, None)
    assert get(handle, 1, room=7) == (Status.BUFFER_TOO_SMALL, 8, None)
    assert get(handle, 2, "fr")[0] == Status.INVALID_LANGUAGE
    assert get(handle, 3)[0] == Status.NOT_FOUND
    assert get(handle, 0)[0] == Status.INVALID_PARAMETER
    assert get(0x123, 1)[0] == Status.NOT_FOUND


def test_what_has_to_be_told(guest, string, handle):
    language, size = guest.put(b"fr\0"), guest.put(64)
    font = guest.room()
    assert string("GetString", language, handle, 1, guest.room(64), size, font) == Status.SUCCESS
    assert guest.u64(font) == 0
    for wrong in (
        (0, handle, 1, 0, size, 0),
        (language, handle, 1, guest.room(), 0, 0),
        (language, handle, 1, 0, size),
    ):
        assert string("GetString", *wrong, 0) == Status.INVALID_PARAMETER


def test_languages(guest, string, handle):
    size, at = guest.put(0), guest.room(16)
    assert string("GetLanguages", handle, 0, size) == Status.BUFFER_TOO_SMALL
    assert guest.u64(size) == 9
    assert string("GetLanguages", handle, at, size) == Status.SUCCESS
    assert guest.bytes_at(at, 9) == b"en-US;fr\0"
    assert string("GetLanguages", handle, 0, size) == Status.INVALID_PARAMETER
    assert string("GetLanguages", 5, at, size) == Status.NOT_FOUND


def test_a_list_is_its_drivers_until_it_goes(guest, database, handle, get):
    driver = guest.room()
    assert database("GetPackageListHandle", handle, driver) == Status.SUCCESS
    assert guest.u64(driver) == 0x123
    assert database("RemovePackageList", handle) == Status.SUCCESS
    assert database("RemovePackageList", handle) == Status.NOT_FOUND
    assert database("GetPackageListHandle", handle, driver) == Status.INVALID_PARAMETER
    assert get(handle, 1)[0] == Status.NOT_FOUND


def test_lists_that_are_none(guest, database):
    at = guest.room()
    good = guest.put(listed(strings("en", "a")))
    assert database("NewPackageList", 0, 0, at) == Status.INVALID_PARAMETER
    assert database("NewPackageList", good, 0, 0) == Status.INVALID_PARAMETER
    for wrong in (listed(strings("en", b"\x99")), bytes(32), b"g" * 16 + b"\xff\xff\xff\xff" + bytes(8)):
        assert database("NewPackageList", guest.put(wrong), 0, at) == Status.INVALID_PARAMETER


def test_all_lists_together_have_a_limit(guest, database, monkeypatch):
    data = guest.put(listed(strings("en", "a")))
    monkeypatch.setattr("efi_services.protocols.hii_database.MAX_KEPT", 100)
    at = guest.room()
    assert database("NewPackageList", data, 0, at) == Status.SUCCESS
    assert database("NewPackageList", data, 0, guest.room()) == Status.OUT_OF_RESOURCES
    assert database("RemovePackageList", guest.u64(at)) == Status.SUCCESS
    assert database("NewPackageList", data, 0, at) == Status.SUCCESS
    assert MAX_KEPT > 100


def test_what_is_not_there_says_so(database, string):
    assert database("ListPackageLists", 0, 0, 0, 0) == Status.UNSUPPORTED
    assert string("SetString", 0, 0, 0, 0, 0) == Status.UNSUPPORTED


def layout(guid, keys=b""):
    body = Guid(guid).bytes_le + keys
    return (len(body) + 2).to_bytes(2, "little") + body


def package(*layouts):
    body = len(layouts).to_bytes(2, "little") + b"".join(layouts)
    return (len(body) + 4 | 0x09 << 24).to_bytes(4, "little") + body


def test_keyboard_layouts(guest, database):
    german, french = "bbbbbbbb-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"
    keys = layout(french, b"keys")
    data = listed(package(layout(german), keys), package(layout(german, b"another"), keys[:-1]))
    length, at = guest.put((64).to_bytes(2, "little")), guest.room(64)
    assert database("GetKeyboardLayout", guest.put(Guid(german).bytes_le), length, at) == Status.NOT_FOUND
    assert database("FindKeyboardLayouts", length, at) == Status.SUCCESS
    assert guest.u64(length) & 0xFFFF == 0
    assert database("NewPackageList", guest.put(data), 0x123, guest.room()) == Status.SUCCESS

    assert database("FindKeyboardLayouts", length, at) == Status.BUFFER_TOO_SMALL
    assert database("FindKeyboardLayouts", length, 0) == Status.INVALID_PARAMETER
    assert database("FindKeyboardLayouts", length, at) == Status.SUCCESS
    assert guest.bytes_at(at, 32) == Guid(german).bytes_le + Guid(french).bytes_le
    assert database("GetKeyboardLayout", guest.put(Guid(french).bytes_le), length, at) == Status.SUCCESS
    assert guest.bytes_at(at, 22) == keys
    assert guest.u64(length) & 0xFFFF == 22
    # None is the current one.
    assert database("GetKeyboardLayout", 0, length, at) == Status.NOT_FOUND
