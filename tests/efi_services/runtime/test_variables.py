import pytest

from efi_services.guids import GLOBAL_VARIABLE, Guid
from efi_services.secure_boot.modes import Mode
from efi_services.status import Status
from efi_services.variables import MAX_STORAGE, MAX_VARIABLE_SIZE, Variable, secure_boot_set

NV, BS, RT, APPEND = 1, 2, 4, 0x40
MINE = Guid(int=1)


@pytest.fixture
def guest(power_on):
    made = power_on(variables=secure_boot_set(Mode.USER, secure_boot=True))
    made.start()
    return made


def get(guest, name, vendor=MINE, room=64):
    """GetVariable; gives the status, the attributes, the size and the data."""
    size, attributes, data = guest.put(room), guest.room(), guest.room(room)
    status = guest.call("GetVariable", guest.put(name), guest.put(vendor), attributes, size, data)
    return status, guest.u32(attributes), guest.u64(size), guest.bytes_at(data, room)


def put(guest, name, data, attributes=BS, vendor=MINE):
    return guest.call("SetVariable", guest.put(name), guest.put(vendor), attributes, len(data), guest.put(data))


def names(guest):
    size, name, vendor = guest.room(), guest.put(bytes(256)), guest.put(Guid(int=0))
    found = []
    while True:
        guest.memory.write(size, (256).to_bytes(8, "little"))
        status = guest.call("GetNextVariableName", size, name, vendor)
        if status == Status.NOT_FOUND:
            return found
        assert status == Status.SUCCESS
        text = guest.bytes_at(name, guest.u64(size)).decode("utf-16-le")
        assert text.endswith("\0")
        found.append((text[:-1], Guid(bytes_le=guest.bytes_at(vendor, 16))))


def test_reading(guest):
    assert get(guest, "SecureBoot", GLOBAL_VARIABLE)[:3] == (Status.SUCCESS, BS | RT, 1)
    assert get(guest, "SecureBoot", MINE)[0] == Status.NOT_FOUND
    assert get(guest, "", GLOBAL_VARIABLE)[0] == Status.NOT_FOUND


def test_a_buffer_that_is_too_small(guest):
    put(guest, "Mine", b"0123456789")
    status, attributes, size, data = get(guest, "Mine", room=9)
    assert (status, attributes, size) == (Status.BUFFER_TOO_SMALL, BS, 10)
    assert data == b"\xa5" * 9
    assert get(guest, "Mine", room=10) == (Status.SUCCESS, BS, 10, b"0123456789")
    # Nothing is written behind the data.
    assert get(guest, "Mine", room=12)[3] == b"0123456789\xa5\xa5"


def test_pointers(guest):
    put(guest, "Mine", b"12")
    name, vendor, size, data = guest.put("Mine"), guest.put(MINE), guest.put(8), guest.room()
    assert guest.call("GetVariable", 0, vendor, 0, size, data) == Status.INVALID_PARAMETER
    assert guest.call("GetVariable", name, 0, 0, size, data) == Status.INVALID_PARAMETER
    assert guest.call("GetVariable", name, vendor, 0, 0, data) == Status.INVALID_PARAMETER
    assert guest.call("GetVariable", name, vendor, 0, size, 0) == Status.INVALID_PARAMETER
    assert guest.call("GetVariable", name, vendor, 0, size, data) == Status.SUCCESS
    none = guest.put(0)
    assert guest.call("GetVariable", name, vendor, 0, none, 0) == Status.BUFFER_TOO_SMALL
    assert guest.u64(none) == 2


def test_writing(guest):
    assert put(guest, "Mine", b"one", NV | BS | RT) == Status.SUCCESS
    assert get(guest, "Mine", room=3) == (Status.SUCCESS, NV | BS | RT, 3, b"one")
    assert put(guest, "Mine", b"more", NV | BS | RT | APPEND) == Status.SUCCESS
    assert get(guest, "Mine", room=7)[3] == b"onemore"
    assert put(guest, "Mine", b"two", BS) == Status.INVALID_PARAMETER
    assert put(guest, "Mine", b"", NV | BS | RT) == Status.SUCCESS
    assert get(guest, "Mine")[0] == Status.NOT_FOUND
    assert put(guest, "Mine", b"", NV | BS | RT) == Status.NOT_FOUND
    assert put(guest, "Mine", b"", BS | APPEND) == Status.SUCCESS


def test_a_variable_can_be_deleted_without_a_buffer(guest):
    put(guest, "Mine", b"one")
    name, vendor = guest.put("Mine"), guest.put(MINE)
    assert guest.call("SetVariable", name, vendor, 0, 0, 0) == Status.SUCCESS
    assert get(guest, "Mine")[0] == Status.NOT_FOUND
    assert guest.call("SetVariable", name, vendor, BS, 4, 0) == Status.INVALID_PARAMETER
    assert guest.call("SetVariable", 0, vendor, BS, 0, 0) == Status.INVALID_PARAMETER
    assert guest.call("SetVariable", name, 0, BS, 0, 0) == Status.INVALID_PARAMETER


@pytest.mark.parametrize("size", [MAX_VARIABLE_SIZE + 1, 1 << 40, (1 << 64) - 1])
def test_far_too_much(guest, size):
    name, vendor = guest.put("Mine"), guest.put(MINE)
    assert guest.call("SetVariable", name, vendor, BS, size, guest.room()) == Status.INVALID_PARAMETER


def test_what_secure_boot_rests_on(guest):
    assert put(guest, "SecureBoot", b"\0", BS | RT, GLOBAL_VARIABLE) == Status.WRITE_PROTECTED
    assert put(guest, "PK", b"key", NV | BS | RT | 0x20, GLOBAL_VARIABLE) == Status.SECURITY_VIOLATION
    assert get(guest, "SecureBoot", GLOBAL_VARIABLE, room=1)[3] == b"\1"


def test_all_names(guest):
    expected = [
        (each, GLOBAL_VARIABLE)
        for each in ("SecureBoot", "SetupMode", "AuditMode", "DeployedMode", "VendorKeys", "SignatureSupport")
    ]
    assert names(guest) == expected
    put(guest, "Längster \U0001f600", b"1")
    assert names(guest) == [*expected, ("Längster \U0001f600", MINE)]


def test_the_next_name(guest):
    name, vendor, size = guest.put("SecureBoot".ljust(30, "\0")), guest.put(GLOBAL_VARIABLE), guest.put(19)
    # A name longer than the buffer it is said to be in.
    assert guest.call("GetNextVariableName", size, name, vendor) == Status.INVALID_PARAMETER
    guest.memory.write(size, (0).to_bytes(8, "little"))
    assert guest.call("GetNextVariableName", size, name, vendor) == Status.INVALID_PARAMETER
    guest.memory.write(size, (22).to_bytes(8, "little"))
    assert guest.call("GetNextVariableName", size, name, vendor) == Status.SUCCESS
    assert guest.bytes_at(name, 20) == "SetupMode\0".encode("utf-16-le")
    unknown, small = guest.put("Nothing"), guest.put(2)
    guest.memory.write(size, (22).to_bytes(8, "little"))
    assert guest.call("GetNextVariableName", size, unknown, vendor) == Status.INVALID_PARAMETER
    first = guest.put(bytes(8))
    assert guest.call("GetNextVariableName", small, first, vendor) == Status.BUFFER_TOO_SMALL
    assert guest.u64(small) == 22
    assert guest.bytes_at(first, 8) == bytes(8)
    for wrong in ((0, name, vendor), (size, 0, vendor), (size, name, 0)):
        assert guest.call("GetNextVariableName", *wrong) == Status.INVALID_PARAMETER


def test_room(guest):
    out = [guest.room() for _ in range(3)]
    assert guest.call("QueryVariableInfo", NV | BS, *out) == Status.SUCCESS
    total, remaining, largest = map(guest.u64, out)
    assert (total, largest) == (MAX_STORAGE, MAX_VARIABLE_SIZE)
    put(guest, "Mine", b"x" * 100)
    guest.call("QueryVariableInfo", NV | BS, *out)
    assert guest.u64(out[1]) == remaining - 100 - 10
    for attributes, status in ((0, 2), (RT, 2), (APPEND, 2), (NV, 2), (BS | 0x100, 2), (BS | 8, 3), (BS | 0x10, 3)):
        assert guest.call("QueryVariableInfo", attributes, *out) == 1 << 63 | status
    assert guest.call("QueryVariableInfo", BS, 0, out[1], out[2]) == Status.INVALID_PARAMETER


def test_at_runtime(guest):
    put(guest, "Boot", b"1", NV | BS)
    put(guest, "Both", b"1", NV | BS | RT)
    guest.exit_boot_services()
    assert get(guest, "Boot")[0] == Status.NOT_FOUND
    assert get(guest, "Both")[0] == Status.SUCCESS
    assert ("Boot", MINE) not in names(guest)
    assert put(guest, "New", b"1", BS) == Status.INVALID_PARAMETER
    assert put(guest, "Both", b"2", NV | BS | RT) == Status.SUCCESS
    assert put(guest, "SetupMode", b"", 0, GLOBAL_VARIABLE) == Status.WRITE_PROTECTED
    assert put(guest, "Both", b"", 0) == Status.SUCCESS


def test_variables_of_the_platform_may_be_empty(power_on):
    guest = power_on(variables=(Variable("Empty", MINE, BS, b""),))
    guest.start()
    assert get(guest, "Empty")[:3] == (Status.SUCCESS, BS, 0)
