import pytest

from efi_services.guids import GLOBAL_VARIABLE
from efi_services.secure_boot import keys
from efi_services.secure_boot.modes import Mode
from efi_services.status import EfiError, Status
from efi_services.variables import KEY_ATTRIBUTES, Variable, VariableStore, secure_boot_set

BS, RT = 2, 4


def power_on(mode, people, *, enforcing=True):
    own = [Variable(*keys.PK, KEY_ATTRIBUTES, people.root.listed)] if mode.has_platform_key else []
    state = secure_boot_set(mode, secure_boot=enforcing and mode.has_platform_key)
    return VariableStore([*state, *own], mode, enforcing=enforcing)


def told(store):
    values = {name: store.get(name, GLOBAL_VARIABLE).data for name in (*store.mode.state, "SecureBoot")}
    assert {name: value == b"\1" for name, value in values.items()} == {
        **store.mode.state,
        "SecureBoot": store.secure_boot,
    }
    return store.mode


@pytest.mark.parametrize(
    ("mode", "name", "reached"),
    [
        (Mode.SETUP, "AuditMode", Mode.AUDIT),
        (Mode.USER, "AuditMode", Mode.AUDIT),
        (Mode.USER, "DeployedMode", Mode.DEPLOYED),
        (Mode.SETUP, "DeployedMode", None),
        (Mode.AUDIT, "AuditMode", None),
        (Mode.AUDIT, "DeployedMode", None),
        (Mode.DEPLOYED, "AuditMode", None),
        (Mode.DEPLOYED, "DeployedMode", None),
        (Mode.USER, "SetupMode", None),
        (Mode.USER, "SecureBoot", None),
    ],
)
def test_what_a_program_may_ask_for(mode, name, reached, people):
    store = power_on(mode, people)
    if reached is None:
        with pytest.raises(EfiError, match="WRITE_PROTECTED"):
            store.set(name, GLOBAL_VARIABLE, BS | RT, b"\1")
        assert told(store) is mode
        return
    store.set(name, GLOBAL_VARIABLE, BS | RT, b"\0")
    assert told(store) is mode
    with pytest.raises(EfiError, match="WRITE_PROTECTED"):
        store.set(name, GLOBAL_VARIABLE, BS | RT, b"\1", runtime=True)
    for attributes, value in ((BS | RT, b"\2"), (BS | RT, b""), (BS | RT, b"\1\1"), (BS, b"\1"), (7, b"\1")):
        with pytest.raises(EfiError, match="INVALID_PARAMETER"):
            store.set(name, GLOBAL_VARIABLE, attributes, value)
    store.set(name, GLOBAL_VARIABLE, BS | RT, b"\1")
    assert told(store) is reached
    assert bool(store.value(keys.PK)) is reached.has_platform_key


@pytest.mark.parametrize("enforcing", [True, False])
@pytest.mark.parametrize(("mode", "reached"), [(Mode.SETUP, Mode.USER), (Mode.AUDIT, Mode.DEPLOYED)])
def test_a_platform_key_makes_an_owner(mode, reached, enforcing, people, signing):
    store = power_on(mode, people, enforcing=enforcing)
    assert not store.secure_boot
    value = signing.sign_variable(keys.PK, KEY_ATTRIBUTES, people.root.listed, people.root)
    store.set(*keys.PK, KEY_ATTRIBUTES, value)
    assert told(store) is reached
    assert store.secure_boot is enforcing


@pytest.mark.parametrize("mode", [Mode.USER, Mode.DEPLOYED])
def test_without_a_platform_key_there_is_none(mode, people, signing):
    store = power_on(mode, people)
    store.set(*keys.PK, KEY_ATTRIBUTES, signing.sign_variable(keys.PK, KEY_ATTRIBUTES, b"", people.root))
    assert told(store) is Mode.SETUP
    with pytest.raises(EfiError) as refused:
        store.get(*keys.PK)
    assert refused.value.status is Status.NOT_FOUND
