"""TPM tools judge a real kernel's run: its log, a quote that is made here with that log behind it, and IMA's digest."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import judges
from efi_services.tcg.algorithms import Algorithm
from shim.measure.attest import quote, read
from shim.measure.formats import FORMATS
from shim.measure.ima import boot_aggregate

pytestmark = pytest.mark.kernel

SHA256 = Algorithm.SHA256
QUOTED = (0, 2, 4, 5, 7, 9)
NONCE = b"a nonce"


class Fapi:
    """tss2 commands that need no TPM, with a key store of their own (fapi-config(5))."""

    def __init__(self, root, folder):
        judges.heard("tss2_verifyquote", root.versions["tpm2-tools"])
        self._command = root.command("usr/bin/tss2")
        self.folder = folder
        for name in ("user", "system", "log"):
            (folder / name).mkdir()
        configuration = {
            "profile_name": "P_ECCP256SHA256",
            "profile_dir": f"{root.folder}/etc/tpm2-tss/fapi-profiles/",
            **{f"{name}_dir": str(folder / name) for name in ("user", "system", "log")},
            "tcti": "none",
            "system_pcrs": [],
            "ek_cert_less": "yes",
        }
        (folder / "configuration").write_text(json.dumps(configuration))

    def __call__(self, command, **options):
        given = []
        for name, value in options.items():
            if isinstance(value, bytes):
                (self.folder / name).write_bytes(value)
                value = self.folder / name
            given.append(f"--{name}={value}")
        environment = {**os.environ, "TSS2_FAPICONF": str(self.folder / "configuration")}
        return subprocess.run(
            [*self._command, command, *given], env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def fapi(debian_root, tmp_path):
    return Fapi(debian_root, tmp_path)


def quoted(registers, key):
    """A quote in FAPI's words: what was signed, as JSON that it takes to bytes again, and the signature as DER."""
    made = quote(registers, {SHA256: QUOTED}, key, qualifying=NONCE, signer=b"\0\x0b" + bytes(32))
    said = read(made.message)
    attested = {
        "pcrSelect": [{"hash": "SHA256", "pcrSelect": list(QUOTED)}],
        "pcrDigest": said.digest.hex(),
    }
    attest = {
        "magic": "VALUE",
        "type": "ATTEST_QUOTE",
        "qualifiedSigner": said.signer.hex(),
        "extraData": said.qualifying.hex(),
        "clockInfo": {"clock": 0, "resetCount": 0, "restartCount": 0, "safe": "YES"},
        "firmwareVersion": 0,
        "attested": attested,
    }
    scheme = {"scheme": "ECDSA", "details": {"hashAlg": "SHA256"}}
    # TPMT_SIGNATURE: two numbers, then two integers with a length before each.
    r, s = (int.from_bytes(made.signature[at : at + 32], "big") for at in (6, 40))
    return json.dumps({"sig_scheme": scheme, "attest": attest}).encode(), encode_dss_signature(r, s)


@pytest.mark.parametrize("changed", [False, True])
def test_fapi_verifies_our_quote_with_our_canonical_log_behind_it(changed, fapi, real_boot):
    measured = real_boot.measured
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert fapi("import", path="/ext/key", importData=public).returncode == 0
    info, signature = quoted(measured.set_of("tpm").registers(), key)
    log = FORMATS["cel-json"].write(measured)
    if changed:
        digest = measured.set_of("tpm").events[-1].digests[SHA256].hex().encode()
        log = log.replace(digest, digest[::-1])
    done = fapi(
        "verifyquote",
        publicKeyPath="/ext/key",
        qualifyingData=NONCE,
        quoteInfo=info,
        signature=signature,
        pcrLog=log,
    )
    assert (done.returncode == 0) is not changed
    assert ("Verify event list" in done.stderr) is changed


def test_the_tools_of_two_debians_read_the_log(debian_root, real_boot, tools, tmp_path):
    (tmp_path / "log").write_bytes(FORMATS["tcg2"].write(real_boot.measured))
    judges.heard("tpm2_eventlog", debian_root.versions["tpm2-tools"])
    newer = [*debian_root.command("usr/bin/tpm2"), "eventlog", tmp_path / "log"]
    said = subprocess.run(newer, capture_output=True, text=True, check=True).stdout
    older = tools("tpm2_eventlog", tmp_path / "log")
    for index, values in real_boot.measured.set_of("tpm").registers().items():
        for text in (older, said):
            assert f"{index:<2} : 0x{values[SHA256].hex()}" in text


def test_evmctl_comes_to_the_same_boot_aggregate(real_boot, tools, tmp_path):
    measured = real_boot.measured
    pcrs = measured.set_of("tpm")
    told = boot_aggregate(measured, pcrs)
    assert told.keys() == set(pcrs.algorithms)
    lines = FORMATS["pcrs"].write(measured).decode().splitlines()
    # Version 1.4 takes files of no other banks.
    for algorithm in (Algorithm.SHA1, SHA256):
        value, rows = told[algorithm], []
        for index in range(24):
            register = pcrs.registers().get(index, {}).get(algorithm, bytes(algorithm.size))
            rows.append(f"PCR-{index:02}: {register.hex(' ').upper()}")
        (tmp_path / "pcrs").write_text("\n".join(rows) + "\n")
        said = tools("evmctl", "ima_boot_aggregate", "--pcrs", f"{algorithm.label},{tmp_path / 'pcrs'}")
        assert said.strip() == f"{algorithm.label}:{value.hex()}"
        assert f"# boot_aggregate of IMA, {algorithm.label}: {value.hex()}" in lines
