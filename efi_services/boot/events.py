"""Event, timer and task priority services (UEFI 2.10, section 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import events
from efi_services.dispatch import RunEnds
from efi_services.events import TimerDelay
from efi_services.service import Calls, service
from efi_services.status import EfiError, Status
from efi_services.types import UINT64, UINTN, Buffer, EventHandle, Flags32, Guid, In, Out, Pointer, Tpl

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@service("RaiseTPL", "7.1.8")
def raise_tpl(fw: Firmware, new: UINTN) -> int:
    """Raise the task priority level and give the old one."""
    if new < fw.events.tpl or new > Tpl.HIGH_LEVEL:
        fw.finding("tpl-misuse", f"RaiseTPL from {fw.events.tpl} to {new}")
        return fw.events.tpl
    old, fw.events.tpl = fw.events.tpl, new
    return old


@service("RestoreTPL", "7.1.9")
def restore_tpl(fw: Firmware, old: UINTN) -> None:
    """Lower the task priority level; notifications that waited for it run now."""
    if old > fw.events.tpl:
        fw.finding("tpl-misuse", f"RestoreTPL from {fw.events.tpl} up to {old}")
        return
    fw.events.tpl = old


@service("CreateEvent", "7.1.1")
def create_event(
    fw: Firmware, kind: Flags32, tpl: UINTN, function: Pointer, context: Pointer, event: Out[EventHandle]
) -> Status:
    """Make an event."""
    event.set(fw.events.create(kind, tpl, function, context, None))
    return Status.SUCCESS


@service("CreateEventEx", "7.1.2")
def create_event_ex(
    fw: Firmware,
    kind: Flags32,
    tpl: UINTN,
    function: Pointer,
    context: Pointer,
    group: In[Guid] | None,
    event: Out[EventHandle],
) -> Status:
    """Make an event that may belong to a group."""
    event.set(fw.events.create(kind, tpl, function, context, group))
    return Status.SUCCESS


@service("CloseEvent", "7.1.3")
def close_event(fw: Firmware, event: EventHandle) -> Status:
    """Remove an event and everything registered for it."""
    fw.events.close(event)
    fw.handles.unregister(event)
    return Status.SUCCESS


@service("SignalEvent", "7.1.4")
def signal_event(fw: Firmware, event: EventHandle) -> Status:
    """Signal an event, or all of its group."""
    fw.events.signal(event)
    return Status.SUCCESS


#: More events than this are no list of events but a wild count.
MAX_WAITED = 65536


@service("WaitForEvent", "7.1.5")
def wait_for_event(fw: Firmware, count: UINTN, handles: Buffer, index: Out[UINTN]) -> Calls[Status]:
    """Let virtual time pass until one of the events is signalled."""
    if count == 0 or count > MAX_WAITED:
        raise EfiError(Status.INVALID_PARAMETER)
    if fw.events.tpl != Tpl.APPLICATION:
        raise EfiError(Status.UNSUPPORTED)
    width = fw.abi.pointer_bytes
    while True:
        fw.check_watchdog()
        waited: set[int] = set()
        for i in range(count):
            handle = fw.abi.unpack(fw.memory.read(handles.address + i * width, width))
            waited.add(handle)
            try:
                signalled = fw.events.check(handle)
            except EfiError:
                index.set(i)
                raise
            if signalled:
                index.set(i)
                return Status.SUCCESS
        if fw.events.ready():
            yield from fw.events.dispatch()
            # A wait notification may poll for ever: time passes between its runs.
            fw.clock.advance(events.POLL_INTERVAL)
            continue
        due = min((each for each in (fw.events.next_wake(waited), fw.watchdog) if each is not None), default=None)
        if due is None:
            raise RunEnds("budget", None, "WaitForEvent waits for events that nothing will ever signal")
        fw.clock.advance(max(due - fw.clock.now, 0))
        if fw.clock.now < due:
            raise RunEnds("budget", None, "WaitForEvent waits for a moment after the end of virtual time")


@service("CheckEvent", "7.1.6")
def check_event(fw: Firmware, event: EventHandle) -> Calls[Status]:
    """Whether an event is signalled; if not, its wait notification gets a chance to signal it."""
    if fw.events.check(event):
        return Status.SUCCESS
    yield from fw.events.dispatch()
    if fw.events.take(fw.events.get(event)):
        return Status.SUCCESS
    raise EfiError(Status.NOT_READY)


@service("SetTimer", "7.1.7")
def set_timer(fw: Firmware, event: EventHandle, kind: TimerDelay, trigger: UINT64) -> Status:
    """Arm or cancel a timer; *trigger* counts 100 ns."""
    fw.events.set_timer(event, kind, trigger)
    return Status.SUCCESS
