"""Who may write PK, KEK and the databases (sections 8.2.6 and 32.3)."""

import subprocess

import pytest
from cryptography.hazmat.primitives import serialization as form

from efi_services.secure_boot import keys
from efi_services.secure_boot.modes import Mode
from efi_services.secure_boot.signature_list import CERT_SHA256, Signature, pack, parse
from efi_services.status import EfiError, Status
from efi_services.tcg.events import EventType, split_variable_data
from efi_services.types import Guid
from efi_services.variables import APPEND_WRITE, KEY_ATTRIBUTES, Variable, VariableStore, secure_boot_set

DIGESTS = [Signature(CERT_SHA256, Guid(int=1), bytes([n]) * 32) for n in range(3)]
LATER = (2021, 1, 1)


@pytest.fixture
def kek(signing, people):
    """An authority in KEK, and who signs under it."""
    authority = signing.make("Key exchange")
    return authority, signing.make("Updates", authority, authority=False)


@pytest.fixture
def user(people, kek):
    """A platform with an owner."""
    own = [
        Variable(*keys.PK, KEY_ATTRIBUTES, people.root.listed),
        Variable(*keys.KEK, KEY_ATTRIBUTES, people.stranger.listed + kek[0].listed),
    ]
    return VariableStore([*secure_boot_set(Mode.USER, secure_boot=True), *own], Mode.USER, enforcing=True)


@pytest.fixture
def write(signing):
    """SetVariable of one of them, signed."""

    def call(store, variable, value, signer, *, append=0, moment=LATER, **options):
        attributes = KEY_ATTRIBUTES | append
        store.set(*variable, attributes, signing.sign_variable(variable, attributes, value, signer, moment, **options))

    return call


def refused(status=Status.SECURITY_VIOLATION):
    return pytest.raises(EfiError, match=f"^EFI_{status.name}$")


class TestWithoutAnOwner:
    """Setup and audit mode."""

    @pytest.fixture(params=[Mode.SETUP, Mode.AUDIT])
    def store(self, request):
        return VariableStore(secure_boot_set(request.param), request.param, enforcing=True)

    @pytest.mark.parametrize("variable", [keys.KEK, *keys.DATABASES])
    def test_anybody_may_say_who_is_trusted(self, store, variable, signing, people):
        unsigned = signing.descriptor((2020, 1, 1), b"")
        store.set(*variable, KEY_ATTRIBUTES, unsigned + people.root.listed)
        assert store.value(variable) == people.root.listed
        # Not even then with what is no list, and not backwards in time.
        later = signing.descriptor(LATER, b"")
        for value in (
            b"no list",
            people.root.listed[:-1],
            people.root.listed[:60] + bytes(len(people.root.listed) - 60),
        ):
            with refused(Status.INVALID_PARAMETER):
                store.set(*variable, KEY_ATTRIBUTES, later + value)
        with refused():
            store.set(*variable, KEY_ATTRIBUTES, unsigned)
        store.set(*variable, KEY_ATTRIBUTES, later)
        assert store.value(variable) == b""

    def test_a_platform_key_signs_itself(self, store, write, people, signing):
        for signer in (people.stranger, people.signer):
            with refused():
                write(store, keys.PK, people.root.listed, signer)
        with refused():
            store.set(*keys.PK, KEY_ATTRIBUTES, signing.descriptor(LATER, b"") + people.root.listed)
        write(store, keys.PK, people.root.listed, people.root)
        assert store.value(keys.PK) == people.root.listed

    def test_a_platform_key_is_one_certificate(self, store, write, people):
        for value in (people.root.listed * 2, pack(DIGESTS[:1]), people.root.listed + pack(DIGESTS[:1]), b"none"):
            with refused(Status.INVALID_PARAMETER):
                write(store, keys.PK, value, people.root)
        with refused():
            write(store, keys.PK, b"", people.root)
        assert store.mode.state["SetupMode"]


class TestWithAnOwner:
    """User mode."""

    def test_the_owner_writes_everything(self, user, write, people):
        for variable in (keys.KEK, *keys.DATABASES):
            write(user, variable, people.signer.listed, people.root)
            assert user.value(variable) == people.signer.listed
        write(user, keys.PK, people.stranger.listed, people.root)
        assert user.value(keys.PK) == people.stranger.listed
        with refused():
            write(user, keys.KEK, b"", people.root, moment=(2022, 1, 1))
        assert user.mode is Mode.USER

    @pytest.mark.parametrize("variable", keys.DATABASES)
    def test_key_exchange_keys_write_databases(self, user, write, people, kek, variable):
        authority, signer = kek
        for number, (each, others) in enumerate(((authority, ()), (signer, ()), (signer, (authority,)))):
            write(user, variable, pack(DIGESTS[number : number + 1]), each, others=others, moment=(2021, 1, 1 + number))
            assert user.value(variable) == pack(DIGESTS[number : number + 1])
        write(user, variable, b"", people.stranger, moment=(2022, 1, 1))
        assert user.value(variable) == b""

    @pytest.mark.parametrize("variable", [keys.PK, keys.KEK])
    def test_but_not_the_keys_above_them(self, user, write, people, kek, variable):
        before = user.value(variable)
        for signer in (*kek, people.stranger):
            with refused():
                write(user, variable, people.signer.listed, signer)
        assert user.value(variable) == before

    @pytest.mark.parametrize("variable", keys.ALL)
    def test_nobody_else_writes_any(self, user, write, people, signing, variable):
        before = user.value(variable)
        # Not even who has his certificate from the owner: a platform key vouches for nobody.
        for signer, others in ((people.signer, (people.authority, people.root)), (signing.make("New"), ())):
            with refused():
                write(user, variable, people.stranger.listed, signer, others=others)
        for value in (b"", people.stranger.listed):
            with refused():
                user.set(*variable, KEY_ATTRIBUTES, signing.descriptor(LATER, b"") + value)
        assert user.value(variable) == before

    @pytest.mark.parametrize("attributes", [0, 1, 7, 0x23, 0x26, 0x40, 0x47])
    @pytest.mark.parametrize("variable", keys.ALL)
    def test_their_attributes_are_given(self, user, signing, people, variable, attributes):
        value = signing.sign_variable(variable, attributes, people.root.listed, people.root)
        with refused(Status.INVALID_PARAMETER):
            user.set(*variable, attributes, value)

    def test_what_is_no_list_is_none_however_well_signed(self, user, write, people):
        with refused(Status.INVALID_PARAMETER):
            write(user, keys.DB, b"no list", people.root)
        with refused(Status.INVALID_PARAMETER):
            write(user, keys.PK, people.signer.listed * 2, people.root)


def test_appending_leaves_out_what_is_there(user, write, people):
    write(user, keys.DBX, pack(DIGESTS[:2]), people.stranger)
    write(user, keys.DBX, pack(DIGESTS[1:]), people.stranger, append=APPEND_WRITE)
    assert parse(user.value(keys.DBX)) == tuple(DIGESTS)
    write(user, keys.DBX, b"", people.stranger, append=APPEND_WRITE)
    assert parse(user.value(keys.DBX)) == tuple(DIGESTS)


def test_a_second_platform_key_is_not_appended(user, write, people):
    with refused(Status.INVALID_PARAMETER):
        write(user, keys.PK, people.signer.listed, people.root, append=APPEND_WRITE)
    assert user.value(keys.PK) == people.root.listed


def test_signed_by_sbvarsign(user, people, need, tmp_path):
    """What Debian's own tool makes is accepted, from the right one."""
    need("sbvarsign")
    for name in ("root", "stranger"):
        key = getattr(people, name)
        pem = key.key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(pem)
        (tmp_path / f"{name}.pem").write_bytes(key.certificate.public_bytes(form.Encoding.PEM))
    (tmp_path / "list").write_bytes(pack(DIGESTS))

    def made(name, variable):
        attributes = "NON_VOLATILE,BOOTSERVICE_ACCESS,RUNTIME_ACCESS,TIME_BASED_AUTHENTICATED_WRITE_ACCESS"
        keys_of = f"--key {name}.key --cert {name}.pem"
        words = f"sbvarsign --attr {attributes} {keys_of} --output {name}.{variable} {variable} list"
        subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / f"{name}.{variable}").read_bytes()

    with refused():
        user.set(*keys.KEK, KEY_ATTRIBUTES, made("stranger", "KEK"))
    user.set(*keys.KEK, KEY_ATTRIBUTES, made("root", "KEK"))
    with refused():
        user.set(*keys.DBX, KEY_ATTRIBUTES, made("stranger", "dbx"))
    user.set(*keys.DB, KEY_ATTRIBUTES, made("root", "db"))
    assert user.value(keys.KEK) == user.value(keys.DB) == pack(DIGESTS)


def test_a_key_that_was_written_is_measured_again(power_on, measuring, signing, people):
    """As EDK2 does it; what was not written is not."""
    guest = power_on(tpm=measuring["tpm"], variables=secure_boot_set())
    guest.start()
    before = len(guest.firmware.measurer.tpm.events)
    for signer in (people.stranger, people.root):
        value = signing.sign_variable(keys.PK, KEY_ATTRIBUTES, people.root.listed, signer)
        name, vendor = guest.put("PK"), guest.put(keys.PK[1])
        status = guest.call("SetVariable", name, vendor, KEY_ATTRIBUTES, len(value), guest.put(value))
        assert status == (Status.SUCCESS if signer is people.root else Status.SECURITY_VIOLATION)
    (event,) = guest.firmware.measurer.tpm.events[before:]
    assert (event.index, event.type) == (7, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG)
    assert split_variable_data(event.data) == ("PK", people.root.listed)
