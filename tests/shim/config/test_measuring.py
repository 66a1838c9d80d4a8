"""A platform's TPM and registers of confidential computing, as users write them."""

import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import encode
from shim.config.platform import load_platform
from shim.errors import UnreadableError, UsageError
from shim.session.build import build


def load(tmp_path, text):
    path = tmp_path / "p.toml"
    path.write_text('name = "p"\n' + text)
    return load_platform(str(path))


def test_without_them_a_platform_is_what_it_was():
    assert "tpm" not in load_platform("q35").toml
    _, firmware = build(load_platform("q35"))
    assert (firmware.tpm, firmware.cc) == (None, None)


def test_ready_ones():
    _, firmware = build(load_platform("q35-tpm"))
    assert (firmware.tpm.algorithms, firmware.cc) == ((Algorithm.SHA1, Algorithm.SHA256), None)
    _, firmware = build(load_platform("q35-tdx"))
    assert (firmware.tpm, firmware.cc.kind, firmware.cc.algorithms) == (None, "tdx", (Algorithm.SHA384,))


def test_banks_come_in_the_registrys_order(tmp_path):
    _, firmware = build(load(tmp_path, '[tpm]\nbanks = ["sha512", "sha1"]\nlog_size = "8K"\n'))
    assert (firmware.tpm.algorithms, firmware.tpm.log_bytes) == ((Algorithm.SHA1, Algorithm.SHA512), 8192)


@pytest.mark.parametrize(("text", "algorithm"), [("", Algorithm.SHA256), ('algorithm = "sha512"', Algorithm.SHA512)])
def test_cca_by_either_algorithm(tmp_path, text, algorithm):
    _, firmware = build(load(tmp_path, f'[cc]\nkind = "cca"\nheader_index = 1\n{text}'))
    assert (firmware.cc.algorithms, firmware.cc.header_index) == ((algorithm,), 1)


def test_events(tmp_path):
    text = '[cc]\nkind = "tdx"\n[[cc.events]]\nmr = 1\ntype = "EV_POST_CODE"\ndata = "00ff"\n'
    _, firmware = build(load(tmp_path, text))
    (event,) = firmware.cc.events
    assert (event.index, event.type, event.digests, event.data) == (1, EventType.EV_POST_CODE, {}, b"\0\xff")


def test_what_was_read_comes_back(tmp_path):
    text = '[tpm]\n[[tpm.events]]\npcr = 0\ntype = 8\ndigests = { sha1 = "' + "00" * 20 + '" }\n[cc]\nkind = "cca"\n'
    platform = load(tmp_path, text)
    (tmp_path / "again.toml").write_text(platform.toml)
    assert load_platform(str(tmp_path / "again.toml")) == platform


@pytest.mark.parametrize("where", ["127.0.0.1:2321", "[::1]:2321", "localhost:1", "/run/swtpm/sock", "./sock"])
def test_where_an_swtpm_may_be(tmp_path, where):
    platform = load(tmp_path, f'[tpm]\nswtpm = "{where}"\n')
    assert platform.tpm.swtpm == where


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[tpm]\nswtpm = "192.0.2.1:2321"\n', "swtpm is 127.0.0.1"),
        ('[tpm]\nswtpm = "example.org:2321"\n', "swtpm is 127.0.0.1"),
        ('[tpm]\nswtpm = "127.0.0.1"\n', "swtpm is 127.0.0.1"),
        ('[tpm]\nswtpm = "127.0.0.1:0"\n', "swtpm is 127.0.0.1"),
        ('[tpm]\nswtpm = "127.0.0.1:99999"\n', "swtpm is 127.0.0.1"),
        ('[tpm]\nswtpm = "127.0.0.1:1"\nbanks = ["sha1"]\n', "its own banks"),
        ('[tpm]\nbanks = ["sm3"]\n', "tpm.banks"),
        ("[tpm]\nbanks = []\n", "tpm.banks"),
        ('[tpm]\nbanks = ["sha1", "sha1"]\n', "twice"),
        ("[tpm]\nlog_size = 100\n", "tpm.log_size"),
        ('[tpm]\nlog_size = "1G"\n', "tpm.log_size"),
        ('[tpm]\n[[tpm.events]]\npcr = 24\ntype = 1\n', "pcr"),
        ('[tpm]\n[[tpm.events]]\npcr = 0\ntype = "EV_NONE"\n', "no event"),
        ('[tpm]\n[[tpm.events]]\npcr = 0\ntype = 1\ndata = "zz"\n', "hexadecimal"),
        ('[tpm]\n[[tpm.events]]\npcr = 0\ntype = 1\ndigests = { sha1 = "00" }\n', "a sha1 digest of 1 bytes"),
        ('[cc]\nkind = "sev"\n', "cc.kind"),
        ('[cc]\nkind = "tdx"\nalgorithm = "sha256"\n', "tdx hashes by sha384"),
        ('[cc]\nkind = "cca"\nalgorithm = "sha384"\n', "cca by sha256 or sha512"),
        ('[cc]\nkind = "tdx"\n[[cc.events]]\nmr = 0\ntype = 1\n', "mr"),
        ('[tpm.known.1]\nsha1 = "00"\n', "tpm.known.1"),
        ('[tpm.known.0]\nsha1 = "00"\n', "a sha1 digest of 1 bytes"),
        ('[tpm.known.0]\nsha1 = "zz"\n', "not hexadecimal"),
        ('[tpm.known.0]\nsm3 = "00"\n', "tpm.known.0"),
        ('[tpm.known.0]\n[[tpm.events]]\npcr = 0\ntype = 1\n', "register 0 is told twice"),
        ('[cc]\nkind = "tdx"\nknown = { rim = "00" }\n', "tdx has no register rim"),
        ('[cc]\nkind = "tdx"\nknown = { rtmr1 = "00" }\n', "cc.known"),
        ('[cc]\nkind = "tdx"\nknown = { mrtd = "00" }\n', "a sha384 digest of 1 bytes"),
        (f'[cc]\nkind = "cca"\nknown = {{ rem0 = "{"00" * 32}" }}\n[[cc.events]]\nmr = 1\ntype = 1\n', "is told"),
    ],
)  # fmt: skip
def test_what_makes_no_sense(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as why:
        load(tmp_path, text)
    assert "\n" not in str(why.value)


def test_what_registers_hold_in_the_end(tmp_path):
    value = "ab" * 48
    text = f'[tpm.known.2]\nsha1 = "{"00" * 20}"\nsha256 = "{"11" * 32}"\n'
    text += f'[cc]\nkind = "tdx"\nknown = {{ mrtd = "{value}" }}\n'
    platform = load(tmp_path, text)
    _, firmware = build(platform)
    assert firmware.tpm.known == {2: {Algorithm.SHA1: bytes(20), Algorithm.SHA256: b"\x11" * 32}}
    assert firmware.cc.known == {0: {Algorithm.SHA384: b"\xab" * 48}}
    (tmp_path / "again.toml").write_text(platform.toml)
    assert load_platform(str(tmp_path / "again.toml")) == platform


def test_a_machines_log(tmp_path):
    banks = (Algorithm.SHA1, Algorithm.SHA256)
    version = Event(0, EventType.EV_S_CRTM_VERSION, digests(banks, b"hashed"), b"v1")
    separator = Event(0, EventType.EV_SEPARATOR, digests(banks, bytes(4)), bytes(4))
    (tmp_path / "machine.bin").write_bytes(encode((version, separator), banks))
    platform = load(tmp_path, '[tpm]\nlog = "machine.bin"\n[[tpm.events]]\npcr = 2\ntype = 1\n')
    assert "machine.bin" not in platform.toml
    _, firmware = build(platform)
    assert firmware.tpm.events[0] == version
    assert [each.index for each in firmware.tpm.events] == [0, 2]


def test_a_log_that_is_none(tmp_path):
    with pytest.raises(UnreadableError, match=r"nowhere\.bin: no such file"):
        load(tmp_path, '[tpm]\nlog = "nowhere.bin"\n')
    (tmp_path / "odd.bin").write_bytes(b"x" * 99)
    with pytest.raises(UsageError, match=r"odd\.bin: event 0 at offset"):
        load(tmp_path, '[cc]\nkind = "tdx"\nlog = "odd.bin"\n')
