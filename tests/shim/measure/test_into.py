"""Measurements extended into an swtpm."""

from dataclasses import replace

import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from shim.errors import MissingError, UnreadableError, UsageError
from shim.measure.into import extend_into
from shim.measure.model import Measurements
from shim.tpm.swtpm import Swtpm

SHA256 = Algorithm.SHA256


def at(swtpm):
    return f"127.0.0.1:{swtpm.port}"


def value(swtpm, pcr, bank="sha256"):
    return swtpm("tpm2_pcrread", f"{bank}:{pcr}").split("0x")[-1].strip().lower()


def test_a_boot(boots, swtpm):
    pcrs = boots()
    made = extend_into(pcrs, at(swtpm))
    assert (made.events, made.banks, made.differing) == (len(pcrs.events), tuple(Algorithm), ())
    assert value(swtpm, 9, "sha384") == pcrs.registers()[9][Algorithm.SHA384].hex()


def test_a_tpm_that_was_extended_before_comes_to_something_else(boots, swtpm):
    extend_into(boots(), at(swtpm))
    assert extend_into(boots((SHA256,)), at(swtpm)).differing == (1, 3, 4, 5, 6, 7, 9)


def launched(*pcrs):
    events = [Event(17, EventType.TXT_EVTYPE_SLAUNCH_START, {SHA256: bytes(32)}, b"")]
    events += [Event(pcr, EventType.TXT_EVTYPE_SLAUNCH, digests((SHA256,), b"x"), b"x") for pcr in pcrs]
    return Measurements("tpm", (SHA256,), tuple(events), dynamic=True)


def test_a_dynamic_launch_goes_through_the_control_channel(swtpm):
    made = extend_into(launched(17, 18, 20, 22), at(swtpm))
    # PCR 17 begins with what the launch measured, so it is not compared.
    assert (made.events, made.differing) == (4, ())
    assert value(swtpm, 22) == SHA256.extend(bytes(32), SHA256.digest(b"x")).hex()
    assert value(swtpm, 21) == "00" * 32


def test_it_dies_in_the_middle(boots, swtpm, monkeypatch):
    transmit, sent = Swtpm._transmit, []

    def cut(self, given):
        sent.append(given)
        if len(sent) == 9:
            self._connection.close()
        return transmit(self, given)

    monkeypatch.setattr(Swtpm, "_transmit", cut)
    with pytest.raises(UnreadableError, match=f"the swtpm at {at(swtpm)} is gone"):
        extend_into(boots(), at(swtpm))


def test_it_refuses(swtpm):
    # Without a launch nobody may extend PCR 17 from locality 0, and from locality 2 only with a control channel.
    event = Event(21, EventType.EV_IPL, digests((SHA256,), b"x"), b"x")
    made = Measurements("tpm", (SHA256,), (replace(event, index=24),))
    with pytest.raises(UnreadableError, match=f"the swtpm at {at(swtpm)} answers TPM_RC"):
        extend_into(made, at(swtpm))


def test_there_is_none(boots):
    with pytest.raises(MissingError, match="no swtpm at"):
        extend_into(boots(), "127.0.0.1:1")


def test_what_goes_into_no_tpm(mr_boots):
    with pytest.raises(UsageError, match="tdx"):
        extend_into(mr_boots(), "127.0.0.1:1")
