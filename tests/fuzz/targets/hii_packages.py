"""Package lists of programs, with the strings in them."""

import loading

from efi_services.hii_packages import read_list
from efi_services.status import EfiError

ERRORS = (EfiError,)


def seeds():
    made = loading.borrow("tests/making/packages_of_strings.py")
    return {"strings": made.listed(made.strings("en-US", "one", b"\x21\x02\x00", "two"), made.package(2, b"forms"))}


def target(data):
    found = read_list(data)
    assert read_list(found.pack()) == found
    assert all(number for each in found.strings for number in each.texts)
