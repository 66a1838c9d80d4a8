import pytest

from efi_services.dispatch import RunEnds
from efi_services.status import Status


def test_the_high_count(guest):
    out, low = guest.room(), guest.room()
    guest.call("GetNextMonotonicCount", low)
    assert guest.call("GetNextHighMonotonicCount", out) == Status.SUCCESS
    assert guest.u32(out) == 1
    guest.call("GetNextHighMonotonicCount", out)
    assert guest.u32(out) == 2
    assert guest.bytes_at(out + 4, 4) == b"\xa5" * 4
    guest.call("GetNextMonotonicCount", low)
    assert guest.u64(low) == 2 << 32 | 1
    assert guest.call("GetNextHighMonotonicCount", 0) == Status.INVALID_PARAMETER


@pytest.mark.parametrize(("kind", "name"), [(0, "cold"), (1, "warm"), (2, "shutdown"), (3, "platformspecific")])
@pytest.mark.parametrize("at_runtime", [False, True])
def test_reset_ends_the_run(guest, kind, name, at_runtime):
    if at_runtime:
        guest.exit_boot_services()
    with pytest.raises(RunEnds, match=f"^{name} reset$") as ended:
        guest.call("ResetSystem", kind, Status.ABORTED, 0, 0)
    assert (ended.value.kind, ended.value.status) == ("reset", Status.ABORTED)
    assert guest.observer.ended[-1].service == "ResetSystem"


def test_last_words(guest):
    words = "no root\0".encode("utf-16-le") + b"and binary data"
    with pytest.raises(RunEnds, match=r"^cold reset: no root$"):
        guest.call("ResetSystem", 0, Status.ABORTED, len(words), guest.put(words))
    for size in (0, 1):
        with pytest.raises(RunEnds, match=r"^cold reset$"):
            guest.call("ResetSystem", 0, 0, size, guest.put(words))


def test_no_such_reset(guest):
    guest.call("ResetSystem", 4, 0, 0, 0)
    assert guest.observer.ended[-1].arguments == {}


def test_reset_from_a_notification(guest):
    event = guest.event(0x200, 8, lambda *_: guest.call("ResetSystem", 0, 0, 0, 0))
    with pytest.raises(RunEnds) as ended:
        guest.call("SignalEvent", event)
    assert ended.value.kind == "reset"
