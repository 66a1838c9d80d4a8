"""IMA's list by the kernel's structures, and by ima-evm-utils where that is installed."""

import hashlib
import struct
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.tcg.algorithms import Algorithm
from shim.measure.ima_list import (
    Entry,
    ListError,
    boot_aggregate,
    buffer,
    decode,
    digest_of,
    extend,
    pcr_10,
    read_buffer,
)

AGGREGATE = bytes(range(32))
#: ima-ng: the digest with its algorithm, then the name, each behind its length.
DATA = struct.pack("<I", 40) + b"sha256:\0" + AGGREGATE + struct.pack("<I", 15) + b"boot_aggregate\0"
VIOLATED = Entry(bytes(20), "ima-ng", struct.pack("<I", 8) + b"sha256:\0" + struct.pack("<I", 2) + b"x\0")


def test_boot_aggregate_is_an_entry_of_ima_ng():
    entry = boot_aggregate(Algorithm.SHA256, AGGREGATE)
    assert entry == Entry(hashlib.sha1(DATA).digest(), "ima-ng", DATA)
    assert digest_of(entry) == ("sha256", AGGREGATE)


def test_an_entry_as_it_is_listed():
    listed = boot_aggregate(Algorithm.SHA256, AGGREGATE).encode()
    head = struct.pack("<I", 10) + hashlib.sha1(DATA).digest() + struct.pack("<I", 6) + b"ima-ng"
    assert listed == head + struct.pack("<I", len(DATA)) + DATA
    assert decode(listed) == [boot_aggregate(Algorithm.SHA256, AGGREGATE)]


def test_each_bank_gets_a_digest_of_its_own():
    entry = boot_aggregate(Algorithm.SHA256, AGGREGATE)
    assert pcr_10([entry], (Algorithm.SHA1, Algorithm.SHA384)) == {
        Algorithm.SHA1: hashlib.sha1(bytes(20) + hashlib.sha1(DATA).digest()).digest(),
        Algorithm.SHA384: hashlib.sha384(bytes(48) + hashlib.sha384(DATA).digest()).digest(),
    }


def test_a_violation_extends_ones():
    assert pcr_10([VIOLATED], (Algorithm.SHA1,)) == {Algorithm.SHA1: hashlib.sha1(bytes(20) + b"\xff" * 20).digest()}
    assert decode(VIOLATED.encode()) == [VIOLATED]


def test_a_list_goes_on_where_it_was():
    entries = [boot_aggregate(Algorithm.SHA256, AGGREGATE), VIOLATED]
    banks = (Algorithm.SHA1, Algorithm.SHA256)
    assert extend(pcr_10(entries[:1], banks), entries[1:]) == pcr_10(entries, banks)


def test_the_buffer_that_is_handed_over():
    entries = [boot_aggregate(Algorithm.SHA256, AGGREGATE), VIOLATED]
    data = buffer(entries)
    assert data[:24] == struct.pack("<HHIQQ", 1, 0, 0, len(data), 2)
    assert data[24:] == entries[0].encode() + entries[1].encode()
    assert read_buffer(data + bytes(100)) == entries


ENTRY = boot_aggregate(Algorithm.SHA256, AGGREGATE).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (ENTRY[:-1], "its data are cut off"),
        (ENTRY[:20], "an entry is cut off"),
        (struct.pack("<I", 11) + ENTRY[4:], "an entry for PCR 11"),
        (ENTRY[:24] + struct.pack("<I", 16) + ENTRY[28:], "a name of 16 bytes"),
        (struct.pack("<I20sI", 10, bytes(20), 3) + b"ima" + bytes(60), "does not hand on"),
        (ENTRY[:-2] + b"x\0", "not that of its data"),
        (ENTRY[:5] + b"x" + ENTRY[6:], "not that of its data"),
    ],
)
def test_lists_that_are_damaged(data, says):
    with pytest.raises(ListError, match=says):
        decode(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cut off"),
        (struct.pack("<HHIQQ", 2, 0, 0, 24, 0), "version 2"),
        (struct.pack("<HHIQQ", 1, 0, 0, 23, 0), "with 23 bytes"),
        (struct.pack("<HHIQQ", 1, 0, 0, 25, 0), "with 25 bytes"),
        (struct.pack("<HHIQQ", 1, 0, 0, 24, 1), "has 1 entries, and has 0"),
    ],
)
def test_buffers_that_are_damaged(data, says):
    with pytest.raises(ListError, match=says):
        read_buffer(data)


def test_evmctl_comes_to_the_same_register(need, tmp_path):
    """ima-evm-utils replays a list, and compares it with what PCR 10 is said to hold."""
    need("evmctl")
    entries = [boot_aggregate(Algorithm.SHA256, AGGREGATE), boot_aggregate(Algorithm.SHA256, bytes(32))]
    (tmp_path / "list").write_bytes(b"".join(each.encode() for each in entries))

    def said(value):
        rows = [bytes(20)] * 10 + [value]
        text = "".join(f"PCR-{index:02d}: {each.hex(' ').upper()}\n" for index, each in enumerate(rows))
        (tmp_path / "pcrs").write_text(text)
        command = ["evmctl", "ima_measurement", "--pcrs", f"sha1,{tmp_path / 'pcrs'}", "-v", str(tmp_path / "list")]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    value = pcr_10(entries, (Algorithm.SHA1,))[Algorithm.SHA1]
    right, wrong = said(value), said(bytes(20))
    assert (right.returncode, wrong.returncode != 0) == (0, True), right.stdout + right.stderr
    assert "sha1 PCR-10: succeed at entry 2" in " ".join((right.stdout + right.stderr).split())


@given(st.binary(max_size=300))
def test_anything_is_read_or_refused(data):
    for read in (decode, read_buffer):
        with suppress(ListError):
            read(data)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_what_is_written_is_read(contents):
    entries = [Entry(hashlib.sha1(each).digest(), "ima-ng", each) for each in contents]
    assert read_buffer(buffer(entries)) == entries
    assert decode(b"".join(each.encode() for each in entries)) == entries
