import pytest

from efi_services.guids import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE
from efi_services.secure_boot.modes import Mode
from efi_services.status import EfiError, Status
from efi_services.types import Guid
from efi_services.variables import MAX_STORAGE, MAX_VARIABLE_SIZE, Variable, VariableStore, secure_boot_set

NV, BS, RT, HR, AUTH, TIME_AUTH, APPEND, ENHANCED = (1 << bit for bit in range(8))
MINE = Guid(int=1)


@pytest.fixture
def store():
    return VariableStore([Variable("Old", MINE, NV | BS | RT, b"old")])


def refused(status):
    return pytest.raises(EfiError, match=f"^EFI_{status.name}$")


def test_create_replace_append_and_delete(store):
    store.set("New", MINE, BS, b"one")
    store.set("New", MINE, BS, b"two!")
    store.set("New", MINE, BS | APPEND, b" three")
    assert store.get("New", MINE) == Variable("New", MINE, BS, b"two! three")
    store.set("New", MINE, BS, b"")
    with refused(Status.NOT_FOUND):
        store.get("New", MINE)
    with refused(Status.NOT_FOUND):
        store.set("New", MINE, BS, b"")


def test_append_makes_a_variable_and_appending_nothing_does_nothing(store):
    store.set("New", MINE, BS | APPEND, b"")
    with refused(Status.NOT_FOUND):
        store.get("New", MINE)
    store.set("New", MINE, BS | APPEND, b"x")
    store.set("New", MINE, BS | APPEND, b"")
    assert store.get("New", MINE) == Variable("New", MINE, BS, b"x")


def test_without_access_attributes_a_variable_is_deleted(store):
    store.set("Old", MINE, 0, b"data")
    assert list(store) == []


def test_the_vendor_is_a_part_of_the_name(store):
    with refused(Status.NOT_FOUND):
        store.get("Old", Guid(int=2))
    store.set("Old", Guid(int=2), BS, b"other")
    assert store.get("Old", MINE).data == b"old"


@pytest.mark.parametrize(
    ("name", "vendor", "attributes", "status"),
    [
        ("", MINE, BS, Status.INVALID_PARAMETER),
        ("New", MINE, RT, Status.INVALID_PARAMETER),
        ("New", MINE, NV | RT, Status.INVALID_PARAMETER),
        ("New", MINE, BS | 0x100, Status.INVALID_PARAMETER),
        ("New", MINE, BS | 0x8000_0000, Status.INVALID_PARAMETER),
        ("New", MINE, NV | BS | RT | HR, Status.UNSUPPORTED),
        ("New", MINE, NV | BS | AUTH, Status.UNSUPPORTED),
        ("New", MINE, NV | BS | ENHANCED, Status.UNSUPPORTED),
        ("New", MINE, NV | BS | TIME_AUTH, Status.SECURITY_VIOLATION),
        ("Old", MINE, BS | RT, Status.INVALID_PARAMETER),
        ("Old", MINE, NV | BS, Status.INVALID_PARAMETER),
        ("Old", MINE, BS | APPEND, Status.INVALID_PARAMETER),
        ("SecureBoot", GLOBAL_VARIABLE, BS | RT, Status.WRITE_PROTECTED),
        ("SetupMode", GLOBAL_VARIABLE, 0, Status.WRITE_PROTECTED),
        ("PK", GLOBAL_VARIABLE, NV | BS | RT, Status.INVALID_PARAMETER),
        ("KEK", GLOBAL_VARIABLE, NV | BS | RT | TIME_AUTH, Status.SECURITY_VIOLATION),
        ("db", IMAGE_SECURITY_DATABASE, NV | BS | RT, Status.INVALID_PARAMETER),
        ("dbx", IMAGE_SECURITY_DATABASE, NV | BS | RT | TIME_AUTH | APPEND, Status.SECURITY_VIOLATION),
    ],
)
def test_what_is_refused_changes_nothing(store, name, vendor, attributes, status):
    before = list(store)
    with refused(status):
        store.set(name, vendor, attributes, b"data")
    assert list(store) == before


def test_names_of_secure_boot_are_free_elsewhere(store):
    store.set("SecureBoot", MINE, BS, b"1")
    store.set("db", GLOBAL_VARIABLE, BS, b"1")


def test_keys_cannot_be_deleted_without_a_signature():
    attributes = NV | BS | RT | TIME_AUTH
    keys = [Variable("PK", GLOBAL_VARIABLE, attributes, b"k"), Variable("Own", MINE, attributes, b"o")]
    store = VariableStore(keys)
    with refused(Status.INVALID_PARAMETER):
        store.set("PK", GLOBAL_VARIABLE, 0, b"")
    with refused(Status.SECURITY_VIOLATION):
        store.set("Own", MINE, 0, b"")
    assert list(store) == keys


def test_sizes(store):
    room = MAX_VARIABLE_SIZE - 2 * len("New") - 2
    with refused(Status.INVALID_PARAMETER):
        store.set("New", MINE, BS, bytes(room + 1))
    store.set("New", MINE, BS, bytes(room))
    with refused(Status.INVALID_PARAMETER):
        store.set("New", MINE, BS | APPEND, b"x")


def test_names_outside_the_basic_plane_take_two_characters():
    assert Variable("\U0001f600", MINE, BS, b"").size == 6


def test_storage_runs_out_and_comes_back(store):
    count = 0
    with refused(Status.OUT_OF_RESOURCES):
        while True:
            store.set(f"V{count}", MINE, BS, bytes(MAX_VARIABLE_SIZE - 100))
            count += 1
    assert count == MAX_STORAGE // (MAX_VARIABLE_SIZE - 88)
    # What is there may still be replaced by as much.
    store.set("V0", MINE, BS, bytes(MAX_VARIABLE_SIZE - 100))
    room = store.room()
    store.set("V0", MINE, 0, b"")
    assert store.room() > room
    store.set("Last", MINE, BS, bytes(1000))


def test_names_in_the_order_of_their_creation(store):
    store.set("A", MINE, BS, b"1")
    store.set("B", MINE, BS | RT, b"1")
    assert [each.name for each in walk(store)] == ["Old", "A", "B"]
    assert [each.name for each in walk(store, runtime=True)] == ["Old", "B"]
    with refused(Status.INVALID_PARAMETER):
        store.following("None", MINE)
    with refused(Status.INVALID_PARAMETER):
        store.following("A", MINE, runtime=True)
    with refused(Status.NOT_FOUND):
        VariableStore().following("", MINE)


def walk(store, *, runtime=False):
    name, vendor = "", MINE
    while True:
        try:
            found = store.following(name, vendor, runtime=runtime)
        except EfiError:
            with refused(Status.NOT_FOUND):
                store.following(name, vendor, runtime=runtime)
            return
        yield found
        name, vendor = found.name, found.vendor


class TestAtRuntime:
    """After ExitBootServices: section 8.2.3."""

    @pytest.fixture
    def store(self):
        return VariableStore(
            [
                Variable("Both", MINE, NV | BS | RT, b"1"),
                Variable("Boot", MINE, NV | BS, b"2"),
                Variable("Volatile", MINE, BS | RT, b"3"),
            ]
        )

    def test_only_what_has_runtime_access_is_there(self, store):
        assert store.get("Both", MINE, runtime=True).data == b"1"
        with refused(Status.NOT_FOUND):
            store.get("Boot", MINE, runtime=True)

    def test_what_is_kept_can_be_written(self, store):
        store.set("Both", MINE, NV | BS | RT, b"new", runtime=True)
        store.set("Both", MINE, NV | BS | RT | APPEND, b"er", runtime=True)
        store.set("Other", MINE, NV | BS | RT, b"x", runtime=True)
        assert store.get("Both", MINE).data == b"newer"
        store.set("Both", MINE, 0, b"", runtime=True)
        assert [each.name for each in store] == ["Boot", "Volatile", "Other"]

    @pytest.mark.parametrize("attributes", [BS, BS | RT, NV | BS])
    def test_anything_else_cannot_be_made(self, store, attributes):
        with refused(Status.INVALID_PARAMETER):
            store.set("Other", MINE, attributes, b"x", runtime=True)

    @pytest.mark.parametrize(("attributes", "data"), [(0, b""), (NV | BS | RT, b""), (NV | BS | RT, b"x")])
    def test_what_is_volatile_is_read_only(self, store, attributes, data):
        with refused(Status.WRITE_PROTECTED):
            store.set("Volatile", MINE, attributes, data, runtime=True)
        assert store.get("Volatile", MINE).data == b"3"

    def test_what_is_of_boot_time_stays(self, store):
        with pytest.raises(EfiError):
            store.set("Boot", MINE, 0, b"", runtime=True)
        assert store.get("Boot", MINE).data == b"2"


@pytest.mark.parametrize("mode", Mode)
def test_the_state_of_secure_boot(mode):
    store = VariableStore(secure_boot_set(mode, secure_boot=mode.has_platform_key, vendor_keys=True))
    assert store.get("SecureBoot", GLOBAL_VARIABLE) == Variable(
        "SecureBoot", GLOBAL_VARIABLE, BS | RT, bytes([mode.has_platform_key])
    )
    for name, value in mode.state.items():
        assert store.get(name, GLOBAL_VARIABLE).data == bytes([value])
    assert store.get("VendorKeys", GLOBAL_VARIABLE).data == b"\1"
    assert len(store.get("SignatureSupport", GLOBAL_VARIABLE).data) == 16 * 7
