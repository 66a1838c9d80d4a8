"""Output as tpm2_eventlog 5.4 writes it."""

import pytest

import eventlog
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm
from qemu import Failed

TEXT = f"""\
---
version: 1
events:
- EventNum: 0
  Event: |
    pcrs:
pcrs:
  sha1:
    0  : 0x{"01" * 20}
    14 : 0x{"02" * 20}
  sm3_256:
    0  : 0x{"03" * 32}
  sha256:
    0  : 0x{"04" * 32}
"""


def test_registers_at_the_end():
    assert eventlog.registers(TEXT) == {
        0: {Algorithm.SHA1: b"\1" * 20, Algorithm.SHA256: b"\4" * 32},
        14: {Algorithm.SHA1: b"\2" * 20},
    }
    assert eventlog.registers("") == {}


def test_a_log_is_replayed_as_we_do(need, pair, tmp_path):
    need(eventlog.TOOL)
    _, ours, _ = pair
    path = tmp_path / "log"
    path.write_bytes(log.encode(ours.log.events, ours.log.algorithms))
    assert eventlog.replay(path) == ours.log.registers()
    path.write_bytes(b"no log")
    with pytest.raises(Failed, match="refuses log"):
        eventlog.replay(path)
