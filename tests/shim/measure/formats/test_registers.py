import json
import re

import pytest

from efi_services.tcg.algorithms import Algorithm
from shim.errors import UsageError
from shim.measure.formats.registers import pcrs, policy

SHA1, SHA256, SHA384, SHA512 = Algorithm


def test_each_known_register_has_a_line_for_each_bank(measured):
    lines = pcrs(measured).decode().splitlines()
    values = measured.set_of("tpm").registers()
    assert f"sha256:4={values[4][SHA256].hex()}" in lines
    plain = [line for line in lines if not line.startswith("#")]
    assert len(plain) == 4 * len(values) + 1
    assert f"sha384:rtmr2={measured.set_of('tdx').registers()[3][SHA384].hex()}" in plain


def test_unknown_registers_are_only_named(measured):
    text = pcrs(measured).decode()
    assert "# PCR 0: not known" in text
    assert "# MRTD: not known" in text
    assert ":0=" not in text
    assert ":rtmr0=" not in text


def test_a_name_stays_in_its_line(boots, wrap):
    measured = wrap(boots())
    odd = type(measured)("x\nsha256:4=00", None, "", "p", measured.sets)
    assert pcrs(odd).decode().splitlines()[0].startswith("# x sha256:4=00")


def test_tpm2_pcrextend_and_pcrread_spell_banks_the_same(boots, wrap, swtpm, extend):
    measurements = boots()
    extend(swtpm, measurements)
    for line in pcrs(wrap(measurements)).decode().splitlines():
        if (found := re.fullmatch(r"(sha\d+:\d+)=([0-9a-f]+)", line)) is not None:
            assert found[2] in swtpm("tpm2_pcrread", found[1]).lower()


def test_the_policy_format_has_what_the_tool_computes(boots, wrap, swtpm, extend):
    measurements = boots()
    extend(swtpm, measurements)
    said = json.loads(policy(wrap(measurements)))
    assert said["session"] == "sha256"
    assert [each["selection"] for each in said["banks"]] == [
        f"{each.label}:1,3,4,5,6,7,9" for each in measurements.algorithms
    ]
    for each in said["banks"]:
        swtpm("tpm2_createpolicy", "--policy-pcr", "-l", each["selection"], "-L", "policy")
        # It leaves its session behind.
        swtpm("tpm2_flushcontext", "-l")
        assert (swtpm.folder / "policy").read_bytes().hex() == each["policy_digest"]


def test_a_policy_asks_for_what_is_known(measured, mr_boots, wrap):
    (bank,) = json.loads(policy(measured, {SHA1: (4,)}, SHA384))["banks"]
    assert len(bank["policy_digest"]) == 96
    with pytest.raises(UsageError, match="PCR 0 of sha1"):
        policy(measured, {SHA1: (0,)})
    with pytest.raises(UsageError, match="none is known"):
        policy(measured, {})
    with pytest.raises(UsageError, match="PCRs"):
        policy(wrap(mr_boots()))
