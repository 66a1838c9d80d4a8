"""Reference values, held against the grammar of CoRIM and the rules by which Trustee takes messages."""

from __future__ import annotations

import base64
import json

import cbor2
import pycddl
import pytest

import judges
from efi_services.tcg.algorithms import Algorithm
from shim.measure.formats.reference import corim, rvps

SHA1, SHA256, SHA384, SHA512 = Algorithm

#: draft-ietf-rats-corim-11: what a manifest of reference values, and only of these, may be made of.
CORIM = """
; 4.1, CoRIM map; its tag is of section 4
corim = #6.501({
  0 => tstr / bytes .size 16,
  1 => [ + #6.506(bytes .cbor comid) ],
  ? 3 => #6.32(tstr) / #6.111(bytes)
})
; 5.1, CoMID; 5.1.1, tag identity
comid = {
  ? 0 => tstr,
  1 => { 0 => tstr / bytes .size 16, ? 1 => uint },
  4 => triples
}
; 5.1.4, triples, not empty; 5.1.5, reference values
triples = { 0 => [ + [ environment, [ + measurement ] ] ] }
; 5.1.4.1 and 5.1.4.2, environments by their class
environment = { 0 => class }
class = {
  ? 0 => #6.37(bytes .size 16) / #6.111(bytes) / #6.560(bytes),
  1 => tstr,
  2 => tstr,
  ? 3 => uint,
  ? 4 => uint
}
; 5.1.4.5, measurements
measurement = { ? 0 => uint / tstr, 1 => { 2 => [ + digest ] } }
; 7.7, digests: the "digest" of draft-ietf-rats-eat-measured-component-10, section 4.1, whose algorithms are those of
; the registry of named information
digest = sha-256 / sha-384 / sha-512
sha-256 = [ 1, bytes .size 32 ]
sha-384 = [ 7, bytes .size 48 ]
sha-512 = [ 8, bytes .size 64 ]
"""


@pytest.fixture(scope="module")
def grammar():
    judges.heard_package("pycddl")
    return pycddl.Schema(CORIM)


def test_a_manifest_is_of_corims_grammar(grammar, measured, mr_boots, wrap):
    grammar.validate_cbor(corim(measured))
    grammar.validate_cbor(corim(wrap(mr_boots("cca"))))


def remove_tag(made):
    return made.value


def name_the_environment_by_a_number(made):
    comid = cbor2.loads(made.value[1][0].value)
    comid[4][0][0][0] = {0: {1: 1, 2: "tpm"}}
    return cbor2.CBORTag(501, {**made.value, 1: [cbor2.CBORTag(506, cbor2.dumps(comid))]})


def cut_a_digest(made):
    comid = cbor2.loads(made.value[1][0].value)
    number, digest = comid[4][0][0][1][0][1][2][0]
    comid[4][0][0][1][0][1][2][0] = [number, digest[:-1]]
    return cbor2.CBORTag(501, {**made.value, 1: [cbor2.CBORTag(506, cbor2.dumps(comid))]})


@pytest.mark.parametrize("change", [remove_tag, name_the_environment_by_a_number, cut_a_digest])
def test_the_grammar_refuses_what_is_no_manifest(change, grammar, measured):
    with pytest.raises(pycddl.ValidationError):
        grammar.validate_cbor(cbor2.dumps(change(cbor2.loads(corim(measured)))))


def trustee(manifest):
    """The names and values that Trustee's provider takes from a CoRIM (rvps/src/extractors/corim, 2026-08)."""
    found = {}
    for tag in cbor2.loads(manifest).value[1]:
        for environment, claims in cbor2.loads(tag.value)[4][0]:
            for claim in claims:
                name = "/".join([environment[0][1], environment[0][2], claim[0], "digests"])
                found[name] = [digest.hex() for _, digest in claim[1][2]]
    return found


def test_trustee_takes_each_register_from_a_manifest(measured):
    found = trustee(corim(measured))
    tpm, tdx = measured.set_of("tpm").registers(), measured.set_of("tdx").registers()
    assert found["efi-shim/tdx/rtmr2/digests"] == [tdx[3][SHA384].hex()]
    assert found["efi-shim/tpm/pcr9/digests"] == [tpm[9][each].hex() for each in (SHA256, SHA384, SHA512)]
    assert len(found) == len(tpm) + len(tdx)


def test_trustee_takes_a_message(measured):
    # rvps/src/lib.rs: three strings of these names, others are passed over; version 0.1.0 or none.
    message = json.loads(rvps(measured))
    assert {key: type(message[key]) for key in ("version", "payload", "type")} == dict.fromkeys(
        ("version", "payload", "type"), str
    )
    assert (message["version"], message["type"]) == ("0.1.0", "sample")
    values = json.loads(base64.standard_b64decode(message["payload"]))
    # The default policy looks for registers in lists, and compares the digests of two events.
    assert all(isinstance(values.pop(name), str) for name in ("tdvfkernel", "tdvfkernelparams"))
    assert all(isinstance(each, list) and all(isinstance(one, str) for one in each) for each in values.values())
    assert "rtmr_2" in values
