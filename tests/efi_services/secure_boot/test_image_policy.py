"""Secure Boot at work: what LoadImage answers, what is measured, and what is told."""

import hashlib
import struct

import pytest

from efi_services import guids
from efi_services.dispatch import RunEnds
from efi_services.platform import SecureBoot
from efi_services.secure_boot import keys
from efi_services.secure_boot.modes import Mode
from efi_services.status import Status
from efi_services.tcg.events import EventType, variable_data
from efi_services.variables import KEY_ATTRIBUTES, Variable, secure_boot_set

AUTHORITY = EventType.EV_EFI_VARIABLE_AUTHORITY


@pytest.fixture
def switch_on(power_on, people, measuring):
    """A machine with keys; the payload is what db lists by its digest."""

    def make(mode=Mode.USER, **options):
        values = {keys.PK: people.root.listed, keys.DB: people.root.listed + people.stranger.listed}
        values |= {keys.DBX: options.pop("dbx", b"")}
        if not mode.has_platform_key:
            del values[keys.PK]
        own = [Variable(*name, KEY_ATTRIBUTES, data) for name, data in values.items() if data]
        enforcing = options.pop("enforcing", True)
        state = secure_boot_set(mode, secure_boot=enforcing and mode.has_platform_key)
        settings = SecureBoot(mode, enforcing, **options)
        return power_on(tpm=measuring["tpm"], variables=(*state, *own), secure_boot=settings)

    return make


@pytest.fixture
def sign(signing, people):
    def call(guest, name, signer=people.signer, others=(people.authority,)):
        """An image by name, and its signature."""
        image = guest.image(name=name)
        digest = hashlib.sha256(image.file[2:]).digest()
        guest.authenticode.signed[image.file] = [signing.sign_image(digest, signer, others)]
        return image

    return call


@pytest.fixture
def guest(switch_on, sign):
    made = switch_on()
    sign(made, "payload")
    made.start()
    return made


def load(guest, image):
    out = guest.put(0xBAD)
    status = guest.call("LoadImage", 0, guest.payload, 0, guest.put(image.file), len(image.file), out)
    return status, guest.u64(out)


def events(guest):
    return [(each.index, EventType(each.type)) for each in guest.firmware.measurer.tpm.events]


def infos(guest):
    """EFI_IMAGE_EXECUTION_INFO of each image in the table: action, name, and the digest of its signature list."""
    at = guest.tables()[guids.IMAGE_SECURITY_DATABASE]
    count, at = guest.u64(at), at + 8
    found = []
    for _ in range(count):
        action, size = guest.u32(at), guest.u32(at + 4)
        body = guest.bytes_at(at + 8, size - 8)
        name, rest = body.decode("utf-16-le", "replace").partition("\0")[0], body[-76:]
        found.append((action, name, rest[44:].hex()))
        assert struct.unpack_from("<III", rest, 16) == (76, 0, 48)
        at += size
    return found


def test_the_payload_is_verified_first_and_measured_then(guest, people):
    assert events(guest)[-2:] == [(7, AUTHORITY), (4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION)]
    authority = guest.firmware.measurer.tpm.events[-2]
    assert authority.data == variable_data(guids.IMAGE_SECURITY_DATABASE, "db", people.root.signature.packed)
    (decision,) = guest.firmware.image_policy.decisions
    assert (decision.allowed, decision.reason) == (True, "db has CN=Root, which vouches for it")
    assert infos(guest) == []


def test_an_authority_is_measured_once(guest, sign, people):
    before = events(guest)
    status, handle = load(guest, sign(guest, "child"))
    assert (status, guest.firmware.images.get(handle).trusted) == (Status.SUCCESS, True)
    assert events(guest) == [*before, (4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION)]
    assert load(guest, sign(guest, "other", people.stranger, ()))[0] == Status.SUCCESS
    assert events(guest)[-2:] == [(7, AUTHORITY), (4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION)]


def test_what_is_refused_is_not_loaded_nor_measured(guest, signing, sign):
    before, handles = events(guest), list(guest.firmware.handles)
    image = sign(guest, "child", signing.make("Nobody"), ())
    assert load(guest, image) == (Status.ACCESS_DENIED, 0)
    assert (events(guest), list(guest.firmware.handles)) == (before, handles)
    kind, words = guest.observer.findings[-1]
    assert kind == "secure-boot-refused"
    assert words.endswith("db has nothing that vouches for CN=Nobody, who signed it")
    ((action, name, digest),) = infos(guest)
    assert (action, digest) == (3, hashlib.sha256(image.file[2:]).hexdigest())
    assert name.startswith("MemoryMapped(")
    load(guest, image)
    assert len(infos(guest)) == 2


def test_what_is_no_image_is_refused_by_secure_boot_too(guest):
    status = guest.call("LoadImage", 0, guest.payload, 0, guest.put(b"#!/bin/sh"), 9, guest.room())
    assert status == Status.ACCESS_DENIED


def test_a_payload_that_is_refused_ends_the_run(switch_on):
    made = switch_on()
    made.image(name="payload")
    with pytest.raises(RunEnds) as ended:
        made.start()
    assert (ended.value.kind, ended.value.status) == ("refused", Status.ACCESS_DENIED)
    assert ended.value.detail == "it is not signed, and db doesn't list its digest"
    assert events(made)[-1] == (6, EventType.EV_SEPARATOR)


def test_deferred(switch_on, sign):
    made = switch_on(defer=True)
    sign(made, "payload")
    made.start()
    status, handle = load(made, made.image(name="child"))
    assert status == Status.SECURITY_VIOLATION
    assert made.call("StartImage", handle, 0, 0) == Status.SECURITY_VIOLATION
    assert made.call("UnloadImage", handle) == Status.SUCCESS


@pytest.mark.parametrize(("mode", "enforcing"), [(Mode.SETUP, True), (Mode.USER, False)])
def test_switched_off(switch_on, mode, enforcing):
    made = switch_on(mode, enforcing=enforcing)
    made.start()
    assert load(made, made.image(name="child"))[0] == Status.SUCCESS
    assert made.firmware.image_policy.decisions == []
    assert guids.IMAGE_SECURITY_DATABASE not in made.tables()


def test_audit_mode_refuses_nothing_and_writes_everything_down(switch_on, sign):
    made = switch_on(Mode.AUDIT)
    sign(made, "payload")
    made.start()
    assert load(made, made.image(name="child"))[0] == Status.SUCCESS
    assert [action for action, _, _ in infos(made)] == [8 | 2, 8 | 3]
    assert [each.allowed for each in made.firmware.image_policy.decisions] == [True, False]


def test_a_platform_key_switches_it_on(switch_on, signing, people):
    made = switch_on(Mode.SETUP)
    made.start()
    child = made.image(name="child")
    assert load(made, child)[0] == Status.SUCCESS
    value = signing.sign_variable(keys.PK, KEY_ATTRIBUTES, people.root.listed, people.root)
    name, vendor = made.put("PK"), made.put(keys.PK[1])
    assert made.call("SetVariable", name, vendor, KEY_ATTRIBUTES, len(value), made.put(value)) == Status.SUCCESS
    assert load(made, child)[0] == Status.ACCESS_DENIED


def test_what_dbx_learns_counts_at_once(guest, sign, signing, people):
    child = sign(guest, "child", people.stranger, ())
    assert load(guest, child)[0] == Status.SUCCESS
    value = signing.sign_variable(keys.DBX, KEY_ATTRIBUTES, people.stranger.listed, people.root)
    name, vendor = guest.put("dbx"), guest.put(keys.DBX[1])
    assert guest.call("SetVariable", name, vendor, KEY_ATTRIBUTES, len(value), guest.put(value)) == Status.SUCCESS
    assert load(guest, child)[0] == Status.ACCESS_DENIED
    assert [action for action, _, _ in infos(guest)] == [1]


def test_who_replaces_the_function_is_not_asked(guest):
    """As systemd's stub does it: its own function answers, and nothing is verified or measured."""
    security, before = guest.protocol(guids.SECURITY2_ARCH), events(guest)
    guest.memory.write(security, guest.function(lambda *_: 0).to_bytes(8, "little"))
    assert load(guest, guest.image(name="child"))[0] == Status.SUCCESS
    assert events(guest) == before


def test_the_table_does_not_grow_for_ever(guest, monkeypatch):
    monkeypatch.setattr("efi_services.secure_boot.execution_info.MOST", 3)
    image = guest.image(name="child")
    for _ in range(5):
        load(guest, image)
    assert len(infos(guest)) == 3
    assert len(guest.firmware.image_policy.decisions) == 6
