import json

import cbor2
import pytest

from efi_services.tcg.log import LogError
from shim.measure.formats import cel_reader
from shim.measure.formats.cel import cel_cbor, cel_json, cel_tlv
from shim.measure.formats.cel_reader import cbor_records, json_records, sequence_records, tlv_records
from shim.measure.formats.systemd import userspace_log

DIGEST = {"hashAlg": "sha256", "digest": "11" * 32}
CONTENT = {"event_type": "EV_IPL", "event_data": "00"}
RECORD = {"recnum": 0, "pcr": 4, "digests": [DIGEST], "content_type": "pcclient_std", "content": CONTENT}


def changed(**parts):
    return {key: value for key, value in {**RECORD, **parts}.items() if value is not None}


def test_each_record_says_where_it_begins(measured):
    for read, data in (
        (json_records, cel_json(measured)),
        (cbor_records, cel_cbor(measured)),
        (tlv_records, cel_tlv(measured)),
    ):
        records = list(read(data))
        offsets = [each.offset for each in records]
        assert len(records) == 21
        assert offsets == sorted(set(offsets))
        assert offsets[0] == {json_records: 2, cbor_records: 1, tlv_records: 0}[read]


def test_what_systemd_writes_is_read(measured):
    records = list(sequence_records(userspace_log(measured)))
    assert [each.event.index for each in records] == [each.index for each in measured.set_of("tpm").events]
    assert records[0].number is None


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([1], "event 0 at offset 0x1: it is no object"),
        ([RECORD, changed(pcr=None)], "event 1 .*not about one register"),
        ([changed(ccmr=1)], "not about one register"),
        ([changed(pcr="4")], "pcr is no number"),
        ([changed(recnum=-1)], "recnum is no number"),
        ([changed(digests=None)], "digests"),
        ([changed(content=None)], "content"),
        ([changed(content_type=None)], "what its content is"),
    ],
)
def test_what_is_wrong_with_a_json_record_and_where(records, why):
    with pytest.raises(LogError, match=why):
        list(json_records(json.dumps(records).encode()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[", "no JSON"),
        ("[]x", "follows"),
        ("[{}", "not about"),
        ("[" + json.dumps(RECORD), "does not go on"),
        ("[" + json.dumps(RECORD) + " 1]", "does not go on"),
        ("[" + json.dumps(RECORD) + ",]", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('[{"pcr":' + "9" * 10_000 + "}]", "no JSON"),
        ('[{"pcr":1,"pcr":2}]', "twice"),
        ('[{"a":"\ud800"}]'.encode("utf-8", "surrogatepass"), "UTF-8"),
        ("[" + "," * 2_000_001, "values"),
    ],
)
def test_what_is_no_array_of_records(text, why):
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(LogError, match=why):
        list(json_records(data))


def test_text_that_is_no_character_is_kept_out():
    record = changed(content_type="systemd", content={"string": "\ud800"})
    (found,) = json_records(json.dumps([record]).encode())
    assert found.event.data == b'{"string":"?"}'


def test_a_mark_of_the_byte_order_and_space_are_gone_over():
    data = b"\xef\xbb\xbf \n[ \n" + json.dumps(RECORD).encode() + b"\n]\n\n"
    assert len(list(json_records(data))) == 1
    assert list(json_records(b" [ ] ")) == []


def test_a_sequence_has_its_separators():
    with pytest.raises(LogError, match=r"event 1 .*separator"):
        list(sequence_records(b"\x1e" + json.dumps(RECORD).encode() + b"\n{}"))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1, "no array"),
        ([1], "no map"),
        ([{0: 0, 3: []}], "not about one register"),
        ([{0: 0, 1: 4, 3: [], 9: 5}], "content"),
        ([{0: 0, 1: 4, 3: [{0: 0xB, 1: b""}], 9: 5, 10: {0: 1, 1: b""}}], "0 bytes"),
    ],
)
def test_what_is_wrong_with_a_cbor_record(value, why):
    with pytest.raises(LogError, match=why):
        list(cbor_records(cbor2.dumps(value)))


def test_the_end_of_a_cbor_array_may_be_marked(measured):
    data = cel_cbor(measured)
    assert data[0] == 0x80 | 21
    marked = list(cbor_records(b"\x9f" + data[1:] + b"\xff"))
    assert marked == list(cbor_records(data))
    for cut in (b"\x9f" + data[1:], data + b"\0", data[:-1]):
        with pytest.raises(LogError):
            list(cbor_records(cut))


def test_the_tlv_of_other_writers_has_numbers_of_four_bytes(measured):
    def tlv(kind, value):
        return bytes([kind]) + len(value).to_bytes(4, "big") + value

    digest, data = bytes(32), b"data"
    content = tlv(0, (13).to_bytes(4, "big")) + tlv(1, data)
    log = tlv(0, bytes(4)) + tlv(1, (9).to_bytes(4, "big")) + tlv(3, tlv(0xB, digest)) + tlv(5, content)
    (record,) = tlv_records(log)
    assert (record.event.index, record.event.type, record.event.data) == (9, 13, data)
    for size in range(1, len(log)):
        with pytest.raises(LogError, match="event 0 at offset 0x0"):
            list(tlv_records(log[:size]))
    with pytest.raises(LogError, match="fields"):
        list(tlv_records(tlv(3, tlv(0xB, digest)) + log))


def test_events_are_not_endless(measured, monkeypatch):
    monkeypatch.setattr(cel_reader, "MAX_EVENTS", 3)
    for read, data in (
        (json_records, cel_json(measured)),
        (cbor_records, cel_cbor(measured)),
        (tlv_records, cel_tlv(measured)),
        (sequence_records, userspace_log(measured)),
    ):
        with pytest.raises(LogError, match=r"event 3 .*more than 3 events"):
            list(read(data))
