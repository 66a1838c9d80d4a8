"""swtpm: as the TPM of a run, as the judge of our model, and as something that dies."""

from __future__ import annotations

import json
import socket
import struct
import threading

import pytest

from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.client import TpmClient
from efi_services.tcg.commands import (
    HEADER,
    NO_SESSIONS,
    NULL_HANDLE,
    PASSWORD,
    SESSIONS,
    Code,
    answer,
    command,
    digest_values,
    pcr_selections,
    sized,
)  # fmt: skip
from efi_services.tcg.registers import replay
from efi_services.tcg.tpm import Tpm
from shim.config.platform import load_platform
from shim.errors import MissingError, UnreadableError
from shim.tpm.swtpm import Swtpm

SHA256 = Algorithm.SHA256
PW = struct.pack(">IHBH", PASSWORD, 0, 0, 0)
ONE = digest_values(digests((SHA256,), b"x"))
ALL = digest_values(digests(tuple(Algorithm), b"x"))


def raw(code, *parts, tag=SESSIONS):
    body = b"".join(parts)
    return HEADER.pack(tag, HEADER.size + len(body), code) + body


def area(size, *entries):
    return struct.pack(">II", 9, size) + b"".join(entries)


def read(algorithm, bits):
    return command(Code.PCR_READ, pcr_selections([(algorithm, bits)]))


def ask(kind, first, count):
    return command(Code.GET_CAPABILITY, struct.pack(">III", kind, first, count))


#: In this order; nearly every answer depends on those before it.
COMMANDS = [
    read(SHA256, 1), command(Code.STARTUP, b"\0\2"), command(Code.STARTUP, b"\0\1"), command(Code.STARTUP, b"\0"),
    command(Code.STARTUP, b"\0\0\0"), raw(Code.STARTUP, struct.pack(">I", 9), PW, b"\0\0"),
    command(Code.STARTUP, b"\0\0"), command(Code.STARTUP, b"\0\0"), command(0x1FF),
    command(Code.SELF_TEST, b"\1"), command(Code.SELF_TEST, b"\2"), command(Code.SELF_TEST),
    command(Code.SELF_TEST, b"\1\1"), raw(Code.SELF_TEST, struct.pack(">I", 9), PW, b"\1"),
    read(SHA256, 0xFF), read(SHA256, 0x3FF), read(SHA256, 1 << 17), command(Code.PCR_READ, pcr_selections([])),
    command(Code.PCR_READ, pcr_selections([(SHA256, 3), (Algorithm.SHA1, 7)])),
    command(Code.PCR_READ, bytes.fromhex("00000001 0099 03 010000")),
    command(Code.PCR_READ, bytes.fromhex("00000001 000b 02 0100")),
    command(Code.PCR_READ, bytes.fromhex("00000001 000b 04 01000000")),
    command(Code.PCR_READ, bytes.fromhex("00000001 000b 03 01")), command(Code.PCR_READ, bytes.fromhex("00000063")),
    command(Code.PCR_EXTEND, ALL, (9,), passwords=1), read(SHA256, 1 << 9),
    command(Code.PCR_EXTEND, ONE, (16,), passwords=1), read(SHA256, 1 << 16),
    *[command(Code.PCR_EXTEND, ONE, (pcr,), passwords=1) for pcr in (17, 20, 24, NULL_HANDLE)],
    command(Code.PCR_EXTEND, ONE, (9,)), command(Code.PCR_EXTEND, digest_values({}), (9,), passwords=1),
    command(Code.PCR_EXTEND, bytes.fromhex("00000001 0099"), (9,), passwords=1),
    command(Code.PCR_EXTEND, bytes.fromhex("00000009"), (9,), passwords=1),
    command(Code.PCR_EXTEND, ONE[:-1], (9,), passwords=1), command(Code.PCR_EXTEND, ONE + b"x", (9,), passwords=1),
    raw(Code.PCR_EXTEND, area(10, struct.pack(">IHBH", PASSWORD, 0, 0, 1), b"p", ONE)),
    *[raw(Code.PCR_EXTEND, area(9, struct.pack(">IHBH", each, 0, 0, 0), ONE))
      for each in (0x40000001, 2 << 24, 3 << 24)],
    raw(Code.PCR_EXTEND, area(11, struct.pack(">IHHBH", PASSWORD, 2, 0, 0, 0), ONE)),
    raw(Code.PCR_EXTEND, area(3, PW, ONE)), raw(Code.PCR_EXTEND, area(3000, PW, ONE)),
    raw(Code.PCR_EXTEND, area(0, ONE)),
    *[raw(Code.PCR_EXTEND, area(9 * count, PW * count, ONE)) for count in (2, 3, 4)],
    raw(Code.PCR_EXTEND, area(13, PW, b"\x40\0\0\x09", ONE)), raw(Code.PCR_EXTEND),
    command(Code.PCR_EVENT, sized(b"hello"), (8,), passwords=1),
    command(Code.PCR_EVENT, sized(b"hello"), (NULL_HANDLE,), passwords=1),
    command(Code.PCR_EVENT, sized(bytes(1025)), (8,), passwords=1),
    command(Code.PCR_EVENT, b"\0\7x", (8,), passwords=1),
    *[command(Code.PCR_RESET, b"", (pcr,), passwords=1) for pcr in (16, 9, 20, NULL_HANDLE)],
    command(Code.PCR_RESET, b"x", (16,), passwords=1), read(SHA256, 1 << 16 | 0x300),
    ask(5, 0, 16), ask(5, 1, 16), ask(6, 0x112, 2), ask(6, 0x100, 1), ask(1, 0, 100), ask(1, 20, 2), ask(99, 0, 1),
    command(Code.GET_CAPABILITY, bytes(8)), command(Code.GET_RANDOM, b"\0\0"), command(Code.GET_RANDOM, b"\0"),
    command(Code.STIR_RANDOM, sized(b"abc")), command(Code.STIR_RANDOM, sized(bytes(200))),
    command(Code.GET_TEST_RESULT),
    *[command(Code.HASH, sized(b"abc") + struct.pack(">HI", *each))
      for each in ((11, NULL_HANDLE), (16, NULL_HANDLE), (11, 5))],
    command(Code.SEQUENCE_UPDATE, sized(b"a"), (0x80000000,), passwords=1),
    command(Code.SEQUENCE_UPDATE, sized(b"a"), (7,), passwords=1),
    command(Code.HASH_SEQUENCE_START, sized(b"") + b"\0\x0b"),
    command(Code.SEQUENCE_UPDATE, sized(b"abc"), (0x80000000,), passwords=1),
    command(Code.SEQUENCE_UPDATE, sized(b"abc"), (0x80000001,), passwords=1),
    command(Code.EVENT_SEQUENCE_COMPLETE, sized(b""), (8, 0x80000000), passwords=2),
    command(Code.EVENT_SEQUENCE_COMPLETE, sized(b""), (8, 0x80000000), passwords=1),
    command(Code.SEQUENCE_COMPLETE, sized(b"d") + struct.pack(">I", NULL_HANDLE), (0x80000000,), passwords=1),
    command(Code.HASH_SEQUENCE_START, sized(b"pw") + b"\0\x10"),
    *[command(Code.HASH_SEQUENCE_START, sized(b"") + b"\0\x10")] * 3,
    command(Code.SEQUENCE_UPDATE, sized(b"abc"), (0x80000000,), passwords=1),
    command(Code.SEQUENCE_COMPLETE, sized(b"d") + struct.pack(">I", NULL_HANDLE), (0x80000001,), passwords=1),
    command(Code.EVENT_SEQUENCE_COMPLETE, sized(b"end"), (10, 0x80000001), passwords=2), read(SHA256, 1 << 10),
    command(Code.HASH_SEQUENCE_START, sized(b"") + b"\0\x99"), HEADER.pack(NO_SESSIONS, 99, Code.GET_TEST_RESULT),
    command(Code.SHUTDOWN, b"\0\7"), command(Code.SHUTDOWN, b"\0\0"), read(SHA256, 1 << 10),
]  # fmt: skip


class Entropy:
    def take(self, size):
        return bytes(size)


class Clock:
    now = 0


def test_our_model_answers_as_swtpm_does(swtpm):
    _, where = swtpm
    real, model = Swtpm(where), Tpm(tuple(Algorithm), Entropy(), Clock())
    for number, each in enumerate(COMMANDS):
        assert model.transmit(each).hex() == real.transmit(each).hex(), f"command {number}: {each.hex()}"
    real.close()


def on(where, tmp_path):
    path = tmp_path / "swtpm.toml"
    path.write_text(load_platform("q35").toml + f'\n[tpm]\nswtpm = "{where}"\n')
    return path


def test_a_run_extends_it(swtpm, command, tmp_path):
    _, where = swtpm
    done = command("run", "program:hello", "--json", "--out", "run", "--platform", on(where, tmp_path))
    assert done.code == 0
    assert json.loads(done.out)["engine"]["deterministic"] is False
    found = log.decode((tmp_path / "run" / "eventlog.bin").read_bytes())
    real = Swtpm(where)
    client = TpmClient(real)
    for algorithm in found.algorithms:
        held = client.read(algorithm, range(24))
        for index, values in replay(found.events, found.algorithms).items():
            assert held[index] == values[algorithm]
    real.close()


def test_a_socket_with_a_path(swtpm_on_a_path):
    _, where = swtpm_on_a_path
    real = Swtpm(where)
    client = TpmClient(real)
    client.startup()
    assert SHA256 in client.banks()[0]
    real.close()


def test_one_that_dies_ends_the_run_with_a_line(swtpm, command, tmp_path, monkeypatch):
    process, where = swtpm
    transmit, sent = Swtpm.transmit, []

    def die_in_the_middle(self, given, locality=0):
        sent.append(given)
        if len(sent) == 8:
            process.kill()
            process.wait()
        return transmit(self, given, locality)

    monkeypatch.setattr(Swtpm, "transmit", die_in_the_middle)
    done = command("run", "program:hello", "--out", "run", "--platform", on(where, tmp_path))
    assert done.code == 10
    (line,) = [each for each in done.err.splitlines() if "swtpm" in each]
    assert where in line
    assert "Traceback" not in done.err
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("where", ["127.0.0.1:1", "./no-such-socket"])
def test_where_none_is(where):
    with pytest.raises(MissingError, match="no swtpm at"):
        Swtpm(where)


def answering(data, *, hold=False):
    """A server that answers anything with *data*; gives where it is."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve():
        client, _ = server.accept()
        with server, client:
            client.recv(4096)
            client.sendall(data)
            if hold:
                over.wait(10)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}", over


@pytest.mark.parametrize(
    ("data", "hold", "words"),
    [
        (b"", False, "closed the connection|is gone"),
        (b"\x80\1\0\0\0\x0c\0\0\0\0", False, "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", False, "is it an swtpm"),
        (b"\x80\1\0\0\0\1\0\0\0\0", False, "is it an swtpm"),
        (b"\x80\1\0\0", True, "did not answer within 0.3 seconds"),
    ],
)
def test_what_is_no_answer(data, hold, words):
    where, over = answering(data, hold=hold)
    transport = Swtpm(where, patience=0.3)
    with pytest.raises(UnreadableError, match=words):
        transport.transmit(command(Code.GET_TEST_RESULT))
    over.set()


def test_other_localities_need_the_control_channel(swtpm):
    transport = Swtpm(swtpm[1])
    with pytest.raises(MissingError, match="no control channel of an swtpm at"):
        transport.transmit(command(Code.GET_TEST_RESULT), 4)
    transport.close()


def test_a_locality_lasts_for_one_command(swtpm_with_control):
    transport = Swtpm(swtpm_with_control[1])
    TpmClient(transport).startup()
    extend = command(Code.PCR_EXTEND, ONE, (18,), passwords=1)
    assert [answer(transport.transmit(extend, each))[0] for each in (0, 2, 0)] == [0x907, 0, 0x907]
    transport.close()


@pytest.mark.parametrize("size", [0, 5, 4096, 9000])
def test_a_dynamic_launch(swtpm_with_control, size):
    transport = Swtpm(swtpm_with_control[1])
    client = TpmClient(transport)
    client.startup()
    loader = b"L" * size
    transport.launch(loader)
    values = client.read(SHA256, range(16, 24))
    assert values[17] == SHA256.digest(bytes(32), SHA256.digest(loader))
    assert {values[each] for each in range(18, 23)} == {bytes(32)}
    transport.close()
