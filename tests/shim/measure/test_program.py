"""Who signed a payload, and the sections of a unified kernel image."""

import hashlib
import struct
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from efi_services.guids import IMAGE_SECURITY_DATABASE
from efi_services.tcg.events import split_variable_data
from payloads.identify import identify
from shim.errors import NotRunnableError, UsageError
from shim.measure import program


@pytest.fixture(scope="module")
def build():
    """The writer of PE files from the tests of payloads."""
    path = Path(__file__).parents[2] / "payloads" / "conftest.py"
    spec = spec_from_file_location("pe_writer", path)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Builder


def test_a_signer_is_an_entry_of_db_without_owner(build):
    from cryptography import x509

    image = build.Pe().build()
    payload = identify(build.signed(image, hashlib.sha256(image).digest()), "signed")
    (data,) = program.authorities(payload)
    name, entry = split_variable_data(data)
    assert (data[:16], name, entry[:16]) == (IMAGE_SECURITY_DATABASE.bytes_le, "db", bytes(16))
    assert x509.load_der_x509_certificate(entry[16:]).serial_number == 0x1234


def test_an_image_that_nobody_signed_has_an_empty_entry(build):
    (data,) = program.authorities(identify(build.Pe().build(), "plain"))
    assert split_variable_data(data) == ("db", b"")


def test_a_certificate_table_that_can_not_be_read(build):
    image = build.Pe().build()
    payload = identify(image + struct.pack("<IHH", 16, 0x0200, 2) + b"nonsense", "odd")
    at = 0x80 + 24 + 112 + 8 * 4
    data = payload.data[:at] + struct.pack("<II", len(image), 16) + payload.data[at + 8 :]
    with pytest.raises(NotRunnableError, match="odd: "):
        program.authorities(identify(data, "odd"))


def test_sections_in_systemds_order_as_they_lie_in_memory(build):
    parts = [build.Part(name, data, 0x4000_0040) for name, data in ((b".linux", b"kernel"), (b".osrel", b"NAME=x"))]
    parts[0].virtual_size = 10
    pe = build.Pe(parts=[build.Part(b".text"), *reversed(parts), build.Part(b".pcrsig", b"{}", 0x4000_0040)])
    found = list(program.sections(identify(pe.build(), "uki")))
    assert found == [(".linux", b"kernel" + bytes(4)), (".osrel", b"NAME=x")]


def test_other_images_have_none(build):
    with pytest.raises(UsageError, match="kernel is no unified kernel image"):
        list(program.sections(identify(build.bzimage().build(), "kernel")))
