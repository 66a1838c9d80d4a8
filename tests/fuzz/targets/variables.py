"""The variables' store: a sequence of SetVariable, with authenticated descriptors too, and what it holds then."""

import struct
from contextlib import suppress

from loading import borrow

from efi_services.secure_boot import keys, signature_list
from efi_services.secure_boot.authentication import Authentication
from efi_services.status import EfiError
from efi_services.variables import KEY_ATTRIBUTES, MAX_STORAGE, MAX_VARIABLE_SIZE, Variable, VariableStore

ERRORS = ()
MAX_LENGTH = 8192
#: Names that mean something, and two that don't.
_NAMES = (*keys.ALL, *((name, keys.PK[1]) for name in ("AuditMode", "DeployedMode", "SecureBoot", "One", "Other", "")))
#: Each call: which name, its attributes, whether it is at runtime, and how many bytes of data follow.
_CALL = struct.Struct("<BIBH")
_made = borrow("tests/efi_services/secure_boot/conftest.py")
_OWNER = _made.make("Owner")


def seeds():
    plain = _call(9, 7, b"value") + _call(9, 0x47, b"more") + _call(9, 7, b"") + _call(10, 3, b"x", runtime=1)
    enrol = _signed(2, _OWNER.listed) + _signed(1, _OWNER.listed) + _signed(0, _OWNER.listed)
    later = _signed(2, _OWNER.listed, (2021, 1, 1)) + _signed(0, b"", (2021, 1, 1)) + _signed(9, b"mine")
    return {"plain": plain, "keys": enrol, "after": enrol + later, "audit": _call(6, 6, b"\1") + enrol}


def _call(number, attributes, data, runtime=0):
    return _CALL.pack(number, attributes, runtime, len(data)) + data


def _signed(number, value, moment=(2020, 1, 1)):
    return _call(number, KEY_ATTRIBUTES, _made.sign_variable(_NAMES[number], KEY_ATTRIBUTES, value, _OWNER, moment))


def target(data):
    store = VariableStore([Variable("PKDefault", keys.PK[1], 6, _OWNER.listed)], enforcing=True)
    at = 0
    while at + _CALL.size <= len(data):
        number, attributes, runtime, size = _CALL.unpack_from(data, at)
        value = data[at + _CALL.size : at + _CALL.size + size]
        at += _CALL.size + size
        name, vendor = _NAMES[number % len(_NAMES)]
        before = {(each.name, each.vendor): each for each in store}
        try:
            store.set(name, vendor, attributes, value, runtime=bool(runtime & 1))
        except EfiError:
            # What is refused changes nothing.
            assert {(each.name, each.vendor): each for each in store} == before
        with suppress(EfiError):
            Authentication.decode(value)
    assert store.room() >= 0
    assert sum(each.size for each in store) <= MAX_STORAGE
    assert all(each.size <= MAX_VARIABLE_SIZE for each in store)
    for variable in keys.ALL:
        signature_list.parse(store.value(variable))
    assert store.mode.has_platform_key == bool(store.value(keys.PK))
    assert store.secure_boot == (store.get("SecureBoot", keys.PK[1]).data == b"\1" if before_mode(store) else False)


def before_mode(store):
    """Whether the store has told of its mode: it does when that changes."""
    return any(each.name == "SecureBoot" for each in store)
