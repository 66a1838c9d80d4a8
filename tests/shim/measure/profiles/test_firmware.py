"""The logs of a run, as its folder has them, and folders that somebody has tampered with."""

import copy
import hashlib
import json

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.log import encode
from shim.errors import UnreadableError
from shim.measure.profiles import PROFILES, firmware
from shim.trace.folder import RunFolder

SHA1, SHA256, SHA384, SHA512 = Algorithm
TPM = {"kind": "tpm", "algorithms": ["sha1", "sha256"], "unknown": [0, 2], "file": "eventlog.bin"}
TDX = {"kind": "tdx", "algorithms": ["sha384"], "unknown": [0, 1], "file": "ccel.bin"}


@pytest.fixture
def write(make_report, tmp_path, boots, mr_boots):
    """A folder whose measurements.json is given, as an object or a text."""
    (tmp_path / "eventlog.bin").write_bytes(encode(boots((SHA1, SHA256)).events, (SHA1, SHA256)))
    (tmp_path / "ccel.bin").write_bytes(encode(mr_boots().events, (SHA384,), header_index=1))

    def writes(about):
        text = about if isinstance(about, str) else json.dumps(about)
        (tmp_path / "measurements.json").write_text(text)
        return RunFolder(tmp_path, make_report())

    return writes


def measure(run):
    return PROFILES["firmware"].measure(run, {})


def test_both_kinds_of_registers(write, boots, mr_boots):
    made = measure(write({"sets": [TPM, TDX]}))
    tpm, tdx = made.sets
    assert (made.name, made.profile, made.sha256) == ("stub", "firmware", "ab" * 32)
    assert (tpm.kind, tpm.algorithms, tpm.unknown) == ("tpm", (SHA1, SHA256), {0, 2})
    assert tpm.events == boots((SHA1, SHA256)).events
    assert (tdx.kind, tdx.algorithms, tdx.unknown) == ("tdx", (SHA384,), {0, 1})
    assert tdx.events == mr_boots().events


def test_registers_are_what_the_log_comes_to(write):
    (tpm,) = measure(write({"sets": [TPM]})).sets
    value = bytes(32)
    for data in ("console=ttyS0 quiet\0".encode("utf-16-le"), b"initrd"):
        value = hashlib.sha256(value + hashlib.sha256(data).digest()).digest()
    assert tpm.registers()[9][SHA256] == value
    assert not {0, 2} & tpm.registers().keys()


def test_what_the_platform_knew(write):
    known = {"0": {"sha1": "11" * 20, "sha256": "22" * 32}}
    (tpm,) = measure(write({"sets": [TPM | {"unknown": [2], "known": known}]})).sets
    assert tpm.registers()[0] == tpm.given[0] == {SHA1: b"\x11" * 20, SHA256: b"\x22" * 32}
    assert tpm.notes == ("PCR 0 is by the platform's word, and not all its events are known",)


def test_a_platform_that_measures_nothing(make_report, tmp_path):
    with pytest.raises(UnreadableError, match="--platform q35-tpm"):
        measure(RunFolder(tmp_path, make_report()))


def changed(**parts):
    return {"sets": [copy.deepcopy(TPM) | parts]}


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"sets": None},
        {"sets": 1},
        {"sets": [1]},
        {"sets": ["tpm"]},
        {"sets": {"tpm": TPM}},
        {"sets": [{}]},
        *(changed(kind=each) for each in ("cpu", None, ["tpm"], {}, "tdx")),
        *(changed(file=each) for each in ("ccel.bin", "../eventlog.bin", "/etc/passwd", "", None, ["eventlog.bin"])),
        *(changed(algorithms=each) for each in ([], ["md5"], [[]], None, 7, ["sha512"], ["sha1", "sha384"])),
        *(
            changed(known=each)
            for each in (None, 5, {"x": {}}, {"0": {"sha1": "00"}}, {"99": {}}, {"0": {}}, {"0": {"a": "0"}})
        ),
        *(changed(unknown=each) for each in (None, 5, ["x"], [24], [-1], [1 << 80], [[0]])),
        '{"sets": [{"kind": "tpm", "algorithms": ["sha1"], "unknown": [1e999], "file": "eventlog.bin"}]}',
        '{"sets": [{"kind": "tpm", "algorithms": ["sha1"], "unknown": [NaN], "file": "eventlog.bin"}]}',
    ],
    ids=str,
)
def test_what_makes_no_sense_is_damaged(write, about):
    with pytest.raises(UnreadableError, match=r"measurements\.json: damaged|eventlog\.bin: damaged"):
        measure(write(about))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 9999, '{"sets": ' + "9" * 5000 + "}"], ids=len)
def test_what_is_no_json_object(write, text):
    with pytest.raises(UnreadableError, match=r"measurements\.json"):
        measure(write(text))


def test_a_damaged_log_tells_where(write, tmp_path):
    run = write({"sets": [TPM]})
    whole = (tmp_path / "eventlog.bin").read_bytes()
    (tmp_path / "eventlog.bin").write_bytes(whole[:-1])
    with pytest.raises(UnreadableError, match=r"eventlog\.bin: event \d+ at offset 0x"):
        measure(run)


def test_a_log_of_registers_that_do_not_exist(write, tmp_path, boots):
    run = write({"sets": [TPM]})
    (tmp_path / "ccel.bin").write_bytes(encode(boots((SHA384,)).events, (SHA384,)))
    with pytest.raises(UnreadableError, match="damaged"):
        measure(write({"sets": [TDX]}))
    assert run.path == tmp_path


def test_a_log_that_is_not_there(write, tmp_path):
    run = write({"sets": [TPM]})
    (tmp_path / "eventlog.bin").unlink()
    with pytest.raises(UnreadableError, match=r"eventlog\.bin: No such file"):
        measure(run)
    (tmp_path / "eventlog.bin").mkdir()
    with pytest.raises(UnreadableError, match=r"eventlog\.bin: Is a directory"):
        measure(run)


def test_a_log_without_anything(write, tmp_path):
    run = write({"sets": [TPM]})
    (tmp_path / "eventlog.bin").write_bytes(b"")
    with pytest.raises(UnreadableError, match=r"eventlog\.bin: damaged"):
        measure(run)


def test_a_log_larger_than_any(write, monkeypatch):
    monkeypatch.setattr(firmware, "MAX_SIZE", 100)
    with pytest.raises(UnreadableError, match="larger than any log"):
        measure(write({"sets": [TPM]}))
