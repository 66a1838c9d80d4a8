import pytest

from efi_services.dispatch import CALL_COST, MAX_DEPTH, RunEnds
from efi_services.guids import LOADED_IMAGE
from efi_services.status import Status

NOTIFY_SIGNAL, CALLBACK, NOTIFY, APPLICATION = 0x200, 8, 16, 4
DATA = 2


def last(guest, service):
    return [each for each in guest.observer.ended if each.service == service][-1]


def test_a_call_is_recorded(guest):
    out = guest.room()
    assert guest.call("AllocatePool", DATA, 24, out) == Status.SUCCESS
    call = last(guest, "AllocatePool")
    assert call.arguments == {"pool_type": "LoaderData", "size": 24, "buffer": f"{out:#x}"}
    assert call.results == {"buffer": f"{guest.u64(out):#x}"}
    assert (call.status, call.table, call.protocol, call.implemented) == ("EFI_SUCCESS", "boot", None, True)
    assert call.pc == guest.services["AllocatePool"]
    assert (call.parent, call.depth) == (None, 0)
    assert (call.bytes_in, call.bytes_out) == (0, 8)
    assert guest.observer.begun[-1] is call


def test_calls_are_numbered_and_cost_time(guest):
    before, count = guest.clock.now, guest.firmware.dispatcher.call_count
    for _ in range(3):
        guest.call("Stall", 0)
    assert guest.clock.now - before >= 3 * CALL_COST
    assert [each.seq for each in guest.observer.ended[-3:]] == [count, count + 1, count + 2]
    assert guest.firmware.dispatcher.call_count == count + 3


def test_what_a_call_reads_is_counted(guest):
    at = guest.put(b"x" * 100)
    guest.call("CalculateCrc32", at, 100, guest.room())
    assert (last(guest, "CalculateCrc32").bytes_in, last(guest, "CalculateCrc32").bytes_out) == (100, 4)


def test_a_refused_call_is_recorded_with_what_was_understood(guest):
    assert guest.call("AllocatePages", 7, DATA, 1, 0) == Status.INVALID_PARAMETER
    assert last(guest, "AllocatePages").arguments == {}
    assert guest.call("AllocatePages", 0, DATA, 1, 0) == Status.INVALID_PARAMETER
    call = last(guest, "AllocatePages")
    assert call.arguments == {"kind": "AnyPages", "memory_type": "LoaderData", "pages": 1}
    assert call.status == "EFI_INVALID_PARAMETER"


def test_what_is_answered_with_an_error_is_recorded_too(guest):
    size = guest.put(0)
    status = guest.call("GetMemoryMap", size, 0, guest.room(), guest.room(), guest.room())
    assert status == Status.BUFFER_TOO_SMALL
    assert last(guest, "GetMemoryMap").results["size"] == guest.u64(size)


@pytest.mark.parametrize("service", ["GetWakeupTime", "SetWakeupTime", "UpdateCapsule", "QueryCapsuleCapabilities"])
def test_a_slot_without_an_implementation_says_so(guest, service):
    assert guest.call(service, 1, 2, 3) == Status.UNSUPPORTED
    assert not last(guest, service).implemented


def test_garbage_in_the_upper_half_of_narrow_arguments(guest):
    out = guest.room()
    assert guest.call("AllocatePool", 0xDEAD_0000_0000_0002, 8, out) == Status.SUCCESS
    assert guest.firmware.memory_map.at(guest.u64(out)).type == DATA


def test_an_image_is_known_by_where_it_calls_from(guest):
    image = guest.firmware.images.get(guest.payload)
    stack = guest.cpu.registers["rsp"] - 0x48
    guest.memory.write(stack, (image.base + 0x1005).to_bytes(8, "little"))
    guest.cpu.registers.update(rsp=stack, rcx=0)
    guest.firmware.dispatcher.enter(guest.services["Stall"])
    assert last(guest, "Stall").image == "payload.efi"
    assert last(guest, "Stall").caller == image.base + 0x1005


def test_a_method_needs_its_own_this(guest, power_on):
    rng = guest.firmware.interfaces
    by_name = {each.protocol.name: at for at, each in rng.items()}
    at, other = by_name["EFI_RNG_PROTOCOL"], by_name["EFI_MEMORY_ATTRIBUTE_PROTOCOL"]
    gate, buffer = guest.u64(at + 8), guest.room()
    assert guest.call_at(gate, at, 0, 8, buffer) == Status.SUCCESS
    call = last(guest, "GetRNG")
    assert (call.table, call.protocol, str(call.guid)[:8]) == ("protocol", "EFI_RNG_PROTOCOL", "3152bca5")
    for this in (0, other, at + 8, buffer):
        assert guest.call_at(gate, this, 0, 8, buffer) == Status.INVALID_PARAMETER
    without = power_on(rng=False)
    assert without.call_at(gate, 0, 0, 8, 0) == Status.INVALID_PARAMETER


def test_nested_calls_know_their_parents(guest):
    inner = guest.event(NOTIFY_SIGNAL, NOTIFY, lambda *_: guest.call("Stall", 0))
    outer = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: guest.call("SignalEvent", inner))
    guest.observer.ended.clear()
    guest.call("SignalEvent", outer)
    stall, second, first = guest.observer.ended
    assert [each.service for each in (stall, second, first)] == ["Stall", "SignalEvent", "SignalEvent"]
    assert (first.depth, second.depth, stall.depth) == (0, 1, 2)
    assert (first.parent, second.parent, stall.parent) == (None, first.seq, second.seq)


def test_a_notification_gets_its_event_and_its_context(guest):
    seen = []
    event = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *arguments: seen.append(arguments[:2]), context=0xC0DE)
    assert guest.call("SignalEvent", event) == Status.SUCCESS
    assert seen == [(event, 0xC0DE)]


def test_the_result_of_a_call_survives_its_notifications(guest):
    event = guest.event(0x8000_0200, CALLBACK, lambda *_: 0xBAD)
    assert guest.call("SetTimer", event, 2, 10) == Status.SUCCESS
    guest.clock.advance(10_000)
    out = guest.room()
    assert guest.call("HandleProtocol", 0x123, guest.put(LOADED_IMAGE), out) == Status.INVALID_PARAMETER
    assert guest.call("RaiseTPL", 16) == APPLICATION


def test_jumping_where_no_service_is(guest):
    for start, end in guest.firmware.gates.ranges:
        for address in (start + 1, end - 16):
            with pytest.raises(RunEnds) as ended:
                guest.firmware.dispatcher.enter(address)
            assert ended.value.kind == "fault"


def test_a_return_that_nothing_waits_for(power_on):
    guest = power_on()
    with pytest.raises(RunEnds) as ended:
        guest.firmware.dispatcher.enter(guest.firmware.dispatcher.return_gate)
    assert ended.value.kind == "fault"


@pytest.mark.parametrize("stack", [0, 0x10, (1 << 64) - 8, 0x50_0000 - 8, 0x10_0000])
def test_a_stack_where_no_memory_is(guest, stack):
    event = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: 0)
    guest.cpu.registers.update(rsp=stack, rcx=event, rdx=0, r8=0, r9=0)
    # The first has room for its return address, but not for the call of the function.
    service = "SignalEvent" if stack == 0x10_0000 else "CreateEventEx"
    with pytest.raises(RunEnds) as ended:
        guest.firmware.dispatcher.enter(guest.services[service])
    assert ended.value.kind == "fault"


def test_a_wild_pointer_ends_the_run_and_the_call_is_recorded(guest):
    with pytest.raises(RunEnds, match=r"GetNextMonotonicCount.*write of 8 bytes at 0x123") as ended:
        guest.call("GetNextMonotonicCount", 0x123)
    assert ended.value.kind == "fault"
    assert last(guest, "GetNextMonotonicCount").status is None


def test_a_wild_pointer_after_a_notification(guest):
    wild = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: guest.call("GetNextMonotonicCount", 0x123))
    with pytest.raises(RunEnds, match="GetNextMonotonicCount"):
        guest.call("SignalEvent", wild)
    guest.firmware.dispatcher.abandon()
    assert [each.service for each in guest.observer.ended[-2:]] == ["GetNextMonotonicCount", "SignalEvent"]
    assert last(guest, "SignalEvent").status is None


def test_functions_nested_too_deep(guest):
    def again(event, *_):
        nonlocal deepest
        deepest += 1
        guest.call("RestoreTPL", APPLICATION)
        guest.call("SignalEvent", event)

    deepest = 0
    # The Python stack is deeper than the guest's.
    event = guest.event(NOTIFY_SIGNAL, CALLBACK, again)
    with pytest.raises(RunEnds, match="nested") as ended:
        guest.call("SignalEvent", event)
    assert ended.value.kind == "fault"
    assert deepest == MAX_DEPTH - 1


def test_a_service_that_is_gone(guest):
    guest.exit_boot_services()
    out, used = guest.put(b"untouched"), guest.firmware.memory_map.used
    calls = {
        "AllocatePool": (DATA, 8, out),
        "RaiseTPL": (NOTIFY,),
        "CopyMem": (out, guest.payload, 8),
        "ExitBootServices": (guest.payload, 0),
        "ConnectController": (guest.payload, 0, 0, 0),
    }
    for name, arguments in calls.items():
        assert guest.call(name, *arguments) == Status.UNSUPPORTED
    assert [kind for kind, _ in guest.observer.findings] == ["boot-service-after-exit"] * len(calls)
    assert guest.bytes_at(out, 9) == b"untouched"
    assert guest.firmware.events.tpl == APPLICATION
    assert guest.firmware.memory_map.used == used


def test_a_method_that_is_gone(guest):
    at = next(at for at, each in guest.firmware.interfaces.items() if each.protocol.name == "EFI_RNG_PROTOCOL")
    guest.exit_boot_services()
    assert guest.method("EFI_RNG_PROTOCOL", "GetRNG", at, 0, 8, guest.room()) == Status.UNSUPPORTED
    assert guest.observer.findings[-1][0] == "boot-service-after-exit"
