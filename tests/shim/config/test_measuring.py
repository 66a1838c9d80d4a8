"""A platform's TPM and registers of confidential computing, as users write them."""

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import EventType
from shim.config.platform import load_platform
from shim.errors import UsageError
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
    ],
)  # fmt: skip
def test_what_makes_no_sense(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as why:
        load(tmp_path, text)
    assert "\n" not in str(why.value)
