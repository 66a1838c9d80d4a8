import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from shim.errors import UsageError
from shim.measure.formats.systemd import components, userspace_log

SHA256 = Algorithm.SHA256


def test_the_log_is_a_sequence_of_records(measured):
    data = userspace_log(measured)
    assert data.startswith(b"\x1e{")
    records = [json.loads(each) for each in data.split(b"\x1e")[1:]]
    assert all(each.endswith(b"}\n") for each in data.split(b"\x1e")[1:])
    assert b"\0" not in data
    assert len(records) == len(measured.set_of("tpm").events)
    record = records[-3]
    assert record["pcr"] == 9
    assert record["content_type"] == "systemd"
    assert record["content"] == {"string": "Linux initrd", "bootId": "0" * 32, "timestamp": 0}
    assert "recnum" not in record


def test_an_event_that_extends_nothing_is_left_out(boots, wrap):
    pcrs = boots()
    start = Event(0, EventType.EV_NO_ACTION, {}, b"StartupLocality\0\3")
    assert userspace_log(wrap(replace(pcrs, events=(start, *pcrs.events)))) == userspace_log(wrap(pcrs))


def test_components_have_their_places_among_systemds_own(measured):
    files = components(measured)
    assert list(files) == [
        "240-secureboot-policy.pcrlock",
        "250-firmware-config-early.pcrlock",
        "350-action-efi-calling.pcrlock",
        "400-secureboot-separator.pcrlock",
        "500-separator.pcrlock",
        "650-kernel.pcrlock",
        "700-action-efi-exit-boot-services.pcrlock",
        "710-kernel-cmdline.pcrlock",
        "720-kernel-initrd.pcrlock",
    ]
    (record,) = json.loads(files["710-kernel-cmdline.pcrlock"])["records"]
    assert record["pcr"] == 9
    assert [each["hashAlg"] for each in record["digests"]] == ["sha1", "sha256", "sha384", "sha512"]


def extended(files, algorithm):
    """What the files come to when they are taken in the order of their names, as systemd-pcrlock does."""
    values = {}
    for name in sorted(files):
        for record in json.loads(files[name])["records"]:
            digest = next(each["digest"] for each in record["digests"] if each["hashAlg"] == algorithm.label)
            before = values.get(record["pcr"], bytes(algorithm.size))
            values[record["pcr"]] = algorithm.extend(before, bytes.fromhex(digest))
    return values


def check(pcrs, wrap):
    for algorithm in pcrs.algorithms:
        expected = {index: values[algorithm] for index, values in pcrs.registers().items()}
        assert extended(components(wrap(pcrs)), algorithm) == expected


def test_components_come_to_the_registers(boots, wrap):
    check(boots(), wrap)


@given(shuffler=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_components_come_to_the_registers_in_whatever_order_things_were_measured(boots, wrap, shuffler):
    pcrs = boots((SHA256,), model={"unknown": frozenset()})
    more = [Event(pcr, kind, digests(pcrs.algorithms, b"x"), b"x") for pcr in (0, 2, 8, 12) for kind in (8, 13, 0x999)]
    events = [*pcrs.events, *more]
    shuffler.shuffle(events)
    check(replace(pcrs, events=tuple(events)), wrap)


def test_registers_of_confidential_computing_are_not_systemds(mr_boots, wrap):
    for write in (userspace_log, components):
        with pytest.raises(UsageError, match="PCRs"):
            write(wrap(mr_boots()))
