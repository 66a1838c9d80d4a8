"""Reference values for verifiers: Trustee's sample message, and CoRIM (draft-ietf-rats-corim)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import cbor2

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import EventType
from shim.errors import UsageError
from shim.measure.formats.common import any_of, canonical, pretty, register_key
from shim.measure.formats.fields import fields

if TYPE_CHECKING:
    from shim.measure.model import Measured, Measurements

#: What Trustee's policies call registers, by kind.
_TRUSTEE = {
    "tpm": lambda index: f"tpm_pcr{index:02}",
    "tdx": lambda index: f"rtmr_{index - 1}" if index else "mr_td",
    "cca": lambda index: f"rem_{index - 1}" if index else "rim",
}
_CORIM, _COMID = 501, 506
#: Algorithms as the registry of named information numbers them (RFC 6920); it has none for SHA-1.
_NAMED_INFORMATION = {Algorithm.SHA256: 1, Algorithm.SHA384: 7, Algorithm.SHA512: 8}


def rvps(measured: Measured) -> bytes:
    """A message for Trustee's reference value provider, with the names that its policies ask for."""
    any_of(measured, "rvps")
    values: dict[str, object] = {}
    for each in measured.sets:
        # Trustee's verifiers look at one bank.
        bank = Algorithm.SHA256 if each.kind == "tpm" else Algorithm.SHA384
        bank = bank if bank in each.algorithms else each.algorithms[-1]
        for index, value in each.registers().items():
            values[_TRUSTEE[each.kind](index)] = [value[bank].hex()]
        if each.kind == "tdx":
            values |= _events(each, bank)
    provenance = base64.b64encode(canonical(values).encode()).decode()
    # Older providers call it payload.
    return pretty({"version": "0.1.0", "type": "sample", "payload": provenance, "provenance": provenance})


def _events(measurements: Measurements, bank: Algorithm) -> dict[str, object]:
    """The kernel and its parameters, which a policy compares with single digests of events."""
    found: dict[str, object] = {}
    for event in measurements.events:
        if event.type == EventType.EV_EFI_BOOT_SERVICES_APPLICATION:
            found.setdefault("tdvfkernel", event.digests[bank].hex())
        elif event.type == EventType.EV_EVENT_TAG and fields(event).get("text") == "LOADED_IMAGE::LoadOptions":
            found.setdefault("tdvfkernelparams", event.digests[bank].hex())
    return found


def corim(measured: Measured) -> bytes:
    """An unsigned CoRIM with a CoMID for each set of registers, whose digests are reference values."""
    any_of(measured, "corim")
    tags = [_comid(measured, each) for each in measured.sets]
    return cbor2.dumps(cbor2.CBORTag(_CORIM, {0: f"efi-shim:{measured.sha256}", 1: tags}), canonical=True)


def _comid(measured: Measured, measurements: Measurements) -> cbor2.CBORTag:
    claims = []
    for index, values in measurements.registers().items():
        digests = [[_NAMED_INFORMATION[each], values[each]] for each in values if each in _NAMED_INFORMATION]
        if digests:
            claims.append({0: register_key(measurements.kind, index), 1: {2: digests}})
    if not claims:
        raise UsageError(f"corim has no names for the digests of {measurements.kind}, or no register is known")
    environment = {0: {1: "efi-shim", 2: measurements.kind}}
    comid = {1: {0: f"efi-shim:{measured.sha256}:{measurements.kind}"}, 4: {0: [[environment, claims]]}}
    return cbor2.CBORTag(_COMID, cbor2.dumps(comid, canonical=True))
