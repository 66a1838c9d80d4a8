import base64
import json

import cbor2
import pytest

from efi_services.tcg.algorithms import Algorithm
from shim.errors import UsageError
from shim.measure.formats.reference import corim, rvps

SHA1, SHA256, SHA384, SHA512 = Algorithm


def values(measured):
    message = json.loads(rvps(measured))
    assert (message["version"], message["type"]) == ("0.1.0", "sample")
    assert message["payload"] == message["provenance"]
    return json.loads(base64.b64decode(message["provenance"], validate=True))


def test_trustee_gets_the_names_that_its_policies_ask_for(measured):
    found = values(measured)
    tdx = measured.set_of("tdx")
    assert found["rtmr_2"] == [tdx.registers()[3][SHA384].hex()]
    # Single values: the policy compares them, and looks into no list.
    assert found["tdvfkernel"] == SHA384.digest(b"Authenticode of kernel").hex()
    assert found["tdvfkernelparams"] == SHA384.digest("console=ttyS0 quiet\0".encode("utf-16-le")).hex()
    assert found["tpm_pcr04"] == [measured.set_of("tpm").registers()[4][SHA256].hex()]
    assert not {"mr_td", "rtmr_0", "rtmr_1", "tpm_pcr00"} & found.keys()


def test_arm_has_its_own_names(mr_boots, wrap):
    assert values(wrap(mr_boots("cca"))).keys() == {"rem_2"}


def test_a_tpm_without_sha256_gives_its_last_bank(boots, wrap):
    assert len(values(wrap(boots((SHA1,))))["tpm_pcr04"][0]) == 40


def test_corim_has_a_comid_for_each_set(measured):
    manifest = cbor2.loads(corim(measured))
    assert manifest.tag == 501
    assert manifest.value[0] == f"efi-shim:{measured.sha256}"
    tpm, tdx = manifest.value[1]
    assert tpm.tag == tdx.tag == 506
    comid = cbor2.loads(tdx.value)
    assert comid[1] == {0: f"efi-shim:{measured.sha256}:tdx"}
    ((environment, claims),) = comid[4][0]
    assert environment == {0: {1: "efi-shim", 2: "tdx"}}
    assert claims == [{0: "rtmr2", 1: {2: [[7, measured.set_of("tdx").registers()[3][SHA384]]]}}]
    ((_, claims),) = cbor2.loads(tpm.value)[4][0]
    assert [each[0] for each in claims] == ["pcr1", "pcr3", "pcr4", "pcr5", "pcr6", "pcr7", "pcr9"]
    # The registry of named information has no number for SHA-1.
    assert [number for number, _ in claims[0][1][2]] == [1, 7, 8]


def test_corim_without_a_digest_that_has_a_name(boots, wrap):
    with pytest.raises(UsageError, match="no names"):
        corim(wrap(boots((SHA1,))))
