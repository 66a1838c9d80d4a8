import pytest

from efi_services.tcg.algorithms import Algorithm
from shim.measure.formats.selection import all_known, encode_selection, pcr_digest, policy_digest, spelled

SHA1, SHA256, SHA384, SHA512 = Algorithm
REGISTERS = {4: {SHA1: b"\4" * 20, SHA256: b"\4" * 32}, 9: {SHA1: b"\x09" * 20, SHA256: b"\x09" * 32}}


def test_a_selection_is_a_bitmap_for_each_bank():
    selection = {SHA256: (9, 4, 4), SHA1: (0, 23)}
    assert encode_selection(selection) == bytes.fromhex("00000002 000b03 100200 000403 010080")
    assert spelled(selection) == "sha256:4,4,9+sha1:0,23"


def test_values_are_taken_bank_by_bank_and_upwards():
    selection = {SHA256: (9, 4), SHA1: (4,)}
    assert pcr_digest(REGISTERS, selection, SHA256) == SHA256.digest(b"\4" * 32 + b"\x09" * 32 + b"\4" * 20)
    with pytest.raises(KeyError):
        pcr_digest(REGISTERS, {SHA256: (5,)}, SHA256)


def test_all_that_is_known():
    assert all_known(REGISTERS, (SHA256,)) == {SHA256: (4, 9)}


@pytest.mark.parametrize(
    "selection", [{SHA256: (4, 9)}, {SHA1: (4,)}, {SHA256: (7, 4, 9), SHA384: (4,)}, {SHA512: tuple(range(1, 8))}]
)
@pytest.mark.parametrize("session", [SHA256, SHA384])
def test_tpm2_policypcr_computes_the_same_policy(selection, session, boots, swtpm, extend):
    # A TPM knows every register: here all come from these events.
    pcrs = boots(model={"unknown": frozenset()})
    extend(swtpm, pcrs)
    swtpm("tpm2_startauthsession", "-S", "session", "-g", session.label)
    said = swtpm("tpm2_policypcr", "-S", "session", "-l", spelled(selection), "-L", "policy")
    swtpm("tpm2_flushcontext", "session")
    policy = policy_digest(pcrs.registers(), selection, session)
    assert said.strip() == policy.hex()
    assert (swtpm.folder / "policy").read_bytes() == policy
    swtpm("tpm2_createpolicy", "--policy-pcr", "-l", spelled(selection), "-g", session.label, "-L", "created")
    assert (swtpm.folder / "created").read_bytes() == policy
