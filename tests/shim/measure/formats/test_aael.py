import json
from dataclasses import replace

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import EventType, tagged_event
from efi_services.tcg.log import decode
from shim.errors import UsageError
from shim.measure.formats.aael import TAG, tagged, text
from shim.measure.readers import read

SHA1, SHA256, SHA384, SHA512 = Algorithm


def test_the_digest_covers_the_whole_data():
    data = tagged_event(TAG, b"domain operation content")
    assert data[:4] == b"LEAA"
    # The start and end of the digest that the agent's own tests have.
    assert SHA256.digest(data).hex().startswith("46df8dacf00a07d3")
    assert SHA256.digest(data).hex().endswith("6351")


def test_a_record_of_a_real_guest_has_the_same_digest():
    # The last one of the log CCEL_AAEL_alibabacloud, as Trustee's own parser tells of it.
    record = b'coco.com some-operation {"key": "value", "nested-key": {"sub-key": "value"}}'
    digest = "82b3e7dd09cbe55777a6eeed67614e9e5a25508ec1cd03ecbfbe10c913fa76ed451fbc275babc6a01a8e5c08e853419b"
    assert SHA384.digest(tagged_event(TAG, record)).hex() == digest


def test_records_come_behind_the_ccel(measured):
    events = decode(tagged(measured)).events
    tdx = measured.set_of("tdx").events
    assert events[: len(tdx)] == tdx
    records = events[len(tdx) :]
    assert len(records) == 1 + len(tdx)
    for each in records:
        assert (each.index, each.type) == (4, EventType.EV_EVENT_TAG)
        assert each.digests == {SHA384: SHA384.digest(each.data)}
        assert each.data == tagged_event(TAG, each.data[8:])
        domain, operation, content = each.data[8:].decode().split(" ", 2)
        assert domain == "efi-shim"
        assert " " not in operation
        assert isinstance(json.loads(content), dict)
        assert "\n" not in content
    assert read(tagged(measured)).registers().keys() >= {3, 4}


def test_the_text_begins_with_what_the_register_holds(measured, mr_boots, wrap):
    lines = text(measured).decode().splitlines()
    assert lines[0] == "INIT sha256/" + "ff" * 32
    assert lines[1].startswith('efi-shim Payload {"name":"debian:trixie/cloud-amd64"')
    assert len(lines) == 2 + len(measured.set_of("tpm").events)
    assert text(wrap(mr_boots())).decode().startswith("INIT sha384/" + "00" * 48)


def test_after_a_dynamic_launch_the_text_begins_with_its_pcr(boots, wrap):
    launched = replace(boots(), dynamic=True)
    last = replace(launched.events[-1], index=17)
    launched = replace(launched, events=(*launched.events, last))
    value = launched.registers()[17][SHA256]
    assert text(wrap(launched)).decode().startswith(f"INIT sha256/{value.hex()}\n")


def test_what_can_not_be_written(boots, wrap):
    with pytest.raises(UsageError, match="confidential"):
        tagged(wrap(boots()))
    with pytest.raises(UsageError, match="SHA-2"):
        text(wrap(boots((SHA1,))))
    with pytest.raises(UsageError, match="PCR 17"):
        text(wrap(boots(model={"unknown": frozenset({17})})))
