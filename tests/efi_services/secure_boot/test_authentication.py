"""EFI_VARIABLE_AUTHENTICATION_2, and variables that belong to whoever signed them first."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.guids import GLOBAL_VARIABLE
from efi_services.secure_boot.authentication import Authentication
from efi_services.status import EfiError, Status
from efi_services.types import Guid
from efi_services.variables import Variable, VariableStore

NV, BS, RT, TIME_AUTH, APPEND = 1, 2, 4, 0x20, 0x40
KIND = NV | BS | RT | TIME_AUTH
MINE = ("Mine", Guid(int=1))


@pytest.fixture
def store():
    return VariableStore()


@pytest.fixture
def write(store, signing, people):
    """SetVariable of a signed value; *by* is who signs."""

    def call(value, moment=(2020, 1, 1), by=None, attributes=KIND, told=None, **options):
        signer, others = by or people.signer, options.pop("others", (people.authority,))
        data = signing.sign_variable(told or MINE, attributes, value, signer, moment, others=others, **options)
        store.set(*MINE, attributes, data)

    return call


def refused(status=Status.SECURITY_VIOLATION):
    return pytest.raises(EfiError, match=f"^EFI_{status.name}$")


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_the_first_to_write_it_owns_it(store, write, people, bare, algorithm):
    write(b"one", bare=bare, algorithm=algorithm)
    assert store.get(*MINE).data == b"one"
    assert store.get(*MINE).attributes == KIND
    write(b"two", (2020, 1, 2))
    with refused():
        write(b"three", (2020, 1, 3), by=people.stranger, others=())
    with refused():
        write(b"three", (2020, 1, 3), by=people.other)
    assert store.get(*MINE).data == b"two"


def test_the_owner_is_a_name_under_an_authority(store, write, signing, people):
    """So a certificate may be renewed."""
    write(b"one")
    renewed = signing.make("Signer", people.authority)
    write(b"two", (2020, 1, 2), by=renewed)
    impostor = signing.make("Signer", signing.make("Authority"))
    with refused():
        write(b"three", (2020, 1, 3), by=impostor, others=())
    assert store.get(*MINE).data == b"two"


@pytest.mark.parametrize(
    "moment", [(2020, 5, 5, 5, 5, 5), (2019, 12, 31, 23, 59, 59), (2020, 5, 5, 5, 5, 4), (2020, 5, 4, 6, 6, 6)]
)
def test_time_only_goes_on(store, write, moment):
    write(b"one", (2020, 5, 5, 5, 5, 5))
    with refused():
        write(b"two", moment)
    assert store.get(*MINE).data == b"one"
    write(b"two", (2020, 5, 5, 5, 5, 6))
    assert store.get(*MINE).data == b"two"


def test_an_append_may_be_older_and_keeps_the_newer_time(store, write):
    write(b"one", (2020, 1, 5))
    write(b"two", (2020, 1, 4), attributes=KIND | APPEND)
    assert store.get(*MINE).data == b"onetwo"
    with refused():
        write(b"three", (2020, 1, 5))
    write(b"three", (2020, 1, 8), attributes=KIND | APPEND)
    with refused():
        write(b"four", (2020, 1, 7))
    assert store.get(*MINE) == Variable(*MINE, KIND, b"onetwothree", (2020, 1, 8, 0, 0, 0), store.get(*MINE).owner)


def test_deletion(store, write, people):
    write(b"one")
    for attributes in (0, NV | BS | RT):
        with pytest.raises(EfiError):
            store.set(*MINE, attributes, b"")
    with refused():
        write(b"", (2020, 1, 2), by=people.stranger, others=())
    with refused():
        write(b"", (2020, 1, 1))
    assert store.get(*MINE).data == b"one"
    write(b"", (2020, 1, 2))
    with refused(Status.NOT_FOUND):
        store.get(*MINE)
    with refused(Status.NOT_FOUND):
        write(b"", (2020, 1, 3))
    # Then it may be anybody's.
    write(b"new", (1999, 1, 1), by=people.stranger, others=())


@pytest.mark.parametrize(
    "told", [("Mine", Guid(int=2)), ("Nine", Guid(int=1)), ("Mine\0", Guid(int=1)), ("min", Guid(int=1))]
)
def test_a_signature_is_for_one_variable(store, write, told):
    with refused():
        write(b"one", told=told)


def test_a_signature_is_for_its_attributes_value_and_time(store, signing, people):
    good = signing.sign_variable(MINE, KIND, b"value", people.signer)
    for changed in (good[:-1] + b"X", good + b"X", good[:4] + b"\2" + good[5:]):
        with refused():
            store.set(*MINE, KIND, changed)
    for attributes in (BS | TIME_AUTH, KIND | APPEND, NV | BS | TIME_AUTH):
        with refused():
            store.set(*MINE, attributes, good)
    store.set(*MINE, KIND, good)


def test_one_kind_of_variable_does_not_become_another(store, write):
    store.set(*MINE, NV | BS | RT, b"plain")
    with refused(Status.INVALID_PARAMETER):
        write(b"signed")
    store.set(*MINE, 0, b"")
    write(b"signed")
    with refused(Status.INVALID_PARAMETER):
        store.set(*MINE, NV | BS | RT, b"plain")
    with refused(Status.INVALID_PARAMETER):
        write(b"signed", (2021, 1, 1), attributes=BS | TIME_AUTH)


class TestDescriptors:
    """Section 8.2.6: what is no descriptor is no authentication."""

    @pytest.fixture
    def good(self, signing, people):
        return signing.sign_variable(MINE, KIND, b"value", people.signer)

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 39])
    def test_truncated(self, good, store, size):
        with refused():
            store.set(*MINE, KIND, good[:size])

    @pytest.mark.parametrize("at", [7, 8, 11, 12, 13, 14, 15])
    def test_padding_and_zones_are_zero(self, good, store, at):
        with refused():
            store.set(*MINE, KIND, good[:at] + b"\1" + good[at + 1 :])

    @pytest.mark.parametrize("size", [0, 8, 23, 1 << 16, (1 << 32) - 1])
    def test_a_length_that_lies(self, good, store, size):
        with refused():
            store.set(*MINE, KIND, good[:16] + struct.pack("<I", size) + good[20:])

    @pytest.mark.parametrize("options", [{"guid": bytes(16)}, {"kind": 2}, {"revision": 0x100}])
    def test_another_kind_of_certificate(self, signing, store, options):
        with refused():
            store.set(*MINE, KIND, signing.descriptor((2020, 1, 1), b"signature", **options))

    def test_no_signature_at_all(self, signing, store):
        for signature in (b"", b"signature"):
            with refused():
                store.set(*MINE, KIND, signing.descriptor((2020, 1, 1), signature) + b"value")

    def test_a_signature_of_something_else(self, signing, store, people):
        made = signing.sign_image(bytes(32), people.signer)
        with refused():
            store.set(*MINE, KIND, signing.descriptor((2020, 1, 1), made) + b"value")

    @given(st.binary(max_size=120))
    def test_anything_is_decoded_or_refused(self, data):
        try:
            given = Authentication.decode(data)
        except EfiError:
            return
        assert data.endswith(given.signature + given.value)


def test_names_of_keys_are_free_elsewhere(store, signing, people):
    variable = ("db", GLOBAL_VARIABLE)
    store.set(*variable, KIND, signing.sign_variable(variable, KIND, b"no list", people.stranger))
    assert store.get(*variable).data == b"no list"
