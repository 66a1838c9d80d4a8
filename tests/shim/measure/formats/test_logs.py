import re

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import decode
from shim.errors import UsageError
from shim.measure.formats.logs import ccel, tcg2, tcg12

SHA1, SHA256, SHA384, SHA512 = Algorithm
LOCALITY = Event(0, EventType.EV_NO_ACTION, {}, b"StartupLocality\0\x03")


def tool_registers(said):
    """The PCRs at the end of what tpm2_eventlog prints."""
    found, bank = {}, None
    for line in said[said.index("\npcrs:") :].splitlines():
        if (head := re.fullmatch(r"  (sha\d+):", line)) is not None:
            bank = next(each for each in Algorithm if each.label == head[1])
        elif (value := re.fullmatch(r"    (\d+) *: 0x([0-9a-f]+)", line)) is not None:
            found.setdefault(int(value[1]), {})[bank] = bytes.fromhex(value[2])
    return found


def test_the_log_reads_as_what_was_written(measured):
    pcrs = measured.set_of("tpm")
    log = decode(tcg2(measured))
    assert log.events == pcrs.events
    assert log.algorithms == pcrs.algorithms


def test_tpm2_eventlog_reads_the_log_and_comes_to_the_same_pcrs(measured, tools):
    path = tools.folder / "log"
    path.write_bytes(tcg2(measured))
    said = tools("tpm2_eventlog", path)
    found = tool_registers(said)
    assert found.keys() == {0, 1, 2, 3, 4, 5, 6, 7, 9}
    for index, values in measured.set_of("tpm").registers().items():
        # Version 5.4 knows no sums of SHA-512.
        known = {each: value for each, value in values.items() if each in found[index]}
        assert len(known) >= 3
        assert found[index] == known
    assert said.count("EventType: EV_EVENT_TAG") == 2
    assert "UnicodeName: SecureBoot" in said


def test_tpm2_eventlog_reads_the_log_of_confidential_computing_where_its_header_is_regular(measured, tools):
    path = tools.folder / "log"
    path.write_bytes(ccel(measured))
    found = tool_registers(tools("tpm2_eventlog", path))
    registers = measured.set_of("tdx").registers()
    assert registers.keys() == {3}
    assert found[3] == registers[3]


def test_swtpm_comes_to_the_same_pcrs(measured, swtpm, extend):
    pcrs = measured.set_of("tpm")
    extend(swtpm, pcrs)
    for algorithm in pcrs.algorithms:
        said = swtpm("tpm2_pcrread", algorithm.label)
        found = {int(index): bytes.fromhex(value) for index, value in re.findall(r"(\d+) *: 0x([0-9A-F]+)", said)}
        for index, values in pcrs.registers().items():
            assert found[index] == values[algorithm]


def test_the_older_log_has_sha1_only(measured):
    log = decode(tcg12(measured))
    assert not log.crypto_agile
    pcrs = measured.set_of("tpm")
    assert [each.digests[SHA1] for each in log.events] == [each.digests[SHA1] for each in pcrs.events]
    assert [each.data for each in log.events] == [each.data for each in pcrs.events]


def test_without_a_bank_for_it_there_is_no_older_log(boots, wrap):
    with pytest.raises(UsageError, match="SHA-1"):
        tcg12(wrap(boots((SHA256,))))


def test_the_header_of_the_ccel_can_be_as_ovmf_writes_it(measured):
    assert decode(ccel(measured)).header_index == 0
    odd = ccel(measured, header_index=1)
    assert decode(odd).header_index == 1
    assert odd[4:] == ccel(measured)[4:]


@pytest.mark.parametrize(("write", "kind"), [(tcg2, "mr"), (tcg12, "mr"), (ccel, "tpm")])
def test_each_log_is_of_its_own_registers(write, kind, boots, mr_boots, wrap):
    with pytest.raises(UsageError, match="what was measured is"):
        write(wrap(boots() if kind == "tpm" else mr_boots()))


def test_a_digest_that_is_not_there_is_not_made_up(boots, wrap):
    pcrs = boots((SHA256,))
    lacking = Event(9, EventType.EV_IPL, {}, b"x")
    with pytest.raises(UsageError, match=f"event {len(pcrs.events)} has none for sha256"):
        tcg2(wrap(type(pcrs)("tpm", (SHA256,), (*pcrs.events, lacking))))


def test_an_event_that_extends_nothing_has_zeroes(boots, wrap):
    pcrs = boots((SHA256,))
    data = tcg2(wrap(type(pcrs)("tpm", (SHA256,), (LOCALITY, *pcrs.events))))
    first = decode(data).events[0]
    assert first.digests == {SHA256: bytes(32)}
