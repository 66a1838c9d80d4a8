"""Events, timers and task priority levels on virtual time (UEFI 2.10, section 7.1).

A timer that has run out is noticed when a service is called: between two service calls no time passes for the
firmware, since virtual time moves by service calls and clock reads only.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.service import GuestCall
from efi_services.status import EfiError, Status
from efi_services.types import Tpl

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator

    from efi_services.ports import Clock
    from efi_services.types import Guid

TIMER = 0x8000_0000
RUNTIME = 0x4000_0000
NOTIFY_WAIT = 0x0000_0100
NOTIFY_SIGNAL = 0x0000_0200
#: Virtual nanoseconds between two looks of WaitForEvent at a notification that polls: a timer tick of EDK II.
POLL_INTERVAL = 10_000_000

SIGNAL_EXIT_BOOT_SERVICES = 0x0000_0201
SIGNAL_VIRTUAL_ADDRESS_CHANGE = 0x6000_0202

_PLAIN_TYPES = {
    0, NOTIFY_WAIT, NOTIFY_SIGNAL, TIMER, TIMER | NOTIFY_WAIT, TIMER | NOTIFY_SIGNAL,
    RUNTIME, RUNTIME | NOTIFY_SIGNAL, RUNTIME | NOTIFY_WAIT, RUNTIME | TIMER | NOTIFY_SIGNAL,
}  # fmt: skip
#: The two types that stand for an event group.
_GROUP_TYPES = {
    SIGNAL_EXIT_BOOT_SERVICES: guids.EVENT_GROUP_EXIT_BOOT_SERVICES,
    SIGNAL_VIRTUAL_ADDRESS_CHANGE: guids.EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE,
}


class TimerDelay(IntEnum):
    """EFI_TIMER_DELAY."""

    Cancel = 0
    Periodic = 1
    Relative = 2


@dataclass(slots=True)
class Event:
    """One event. *function* and *context* are guest addresses; times are virtual nanoseconds."""

    handle: int
    type: int
    tpl: int
    function: int
    context: int
    group: Guid | None
    signalled: bool = False
    queued: bool = False
    due: int | None = None
    period: int = 0
    #: What its function is called with, where that is not the event and the context.
    arguments: tuple[int, ...] | None = None
    #: For an event of the firmware's own: when it is signalled, and stays so; None where that is never.
    moment: Callable[[], int | None] | None = None


@dataclass(slots=True)
class EventQueue:
    """All events, the current TPL, and the notifications that wait for it to drop."""

    clock: Clock
    new_handle: Callable[[], int]
    drop_handle: Callable[[int], None]
    tpl: int = Tpl.APPLICATION
    _events: dict[int, Event] = field(default_factory=dict)
    _queue: list[tuple[int, int, Event]] = field(default_factory=list)
    _timers: list[tuple[int, int, int]] = field(default_factory=list)
    _order: int = 0

    def create(self, kind: int, tpl: int, function: int, context: int, group: Guid | None) -> int:
        """A new event's handle; raises INVALID_PARAMETER as section 7.1.2 says."""
        if group is not None and kind in _GROUP_TYPES:
            raise EfiError(Status.INVALID_PARAMETER)
        if kind in _GROUP_TYPES:
            group = _GROUP_TYPES[kind]
        elif kind not in _PLAIN_TYPES:
            raise EfiError(Status.INVALID_PARAMETER)
        if kind & (NOTIFY_SIGNAL | NOTIFY_WAIT) and (not function or not Tpl.APPLICATION < tpl < Tpl.HIGH_LEVEL):
            raise EfiError(Status.INVALID_PARAMETER)
        handle = self.new_handle()
        self._events[handle] = Event(handle, kind, tpl, function, context, group)
        return handle

    def create_for(self, moment: Callable[[], int | None]) -> int:
        """An event of the firmware's own, which is signalled from a moment on that *moment* tells."""
        handle = self.create(0, 0, 0, 0, None)
        self._events[handle].moment = moment
        return handle

    def create_call(self, tpl: int, function: int, arguments: tuple[int, ...]) -> int:
        """An event of the firmware's own that calls a guest function with other arguments than events have."""
        handle = self.create(NOTIFY_SIGNAL, tpl, function, 0, None)
        self._events[handle].arguments = arguments
        return handle

    def get(self, handle: int) -> Event:
        """The event of a handle; raises INVALID_PARAMETER."""
        try:
            return self._events[handle]
        except KeyError:
            raise EfiError(Status.INVALID_PARAMETER) from None

    def close(self, handle: int) -> None:
        """Forget an event, its timer and its waiting notification."""
        event = self.get(handle)
        event.due = None
        event.queued = False
        self._queue = [each for each in self._queue if each[2] is not event]
        heapq.heapify(self._queue)
        del self._events[handle]
        self.drop_handle(handle)

    def set_timer(self, handle: int, how: TimerDelay, hundred_ns: int) -> None:
        """Arm or cancel a timer; *hundred_ns* is in units of 100 ns."""
        event = self.get(handle)
        if not event.type & TIMER:
            raise EfiError(Status.INVALID_PARAMETER)
        event.due, event.period = None, 0
        if how is TimerDelay.Cancel:
            return
        # A period of zero means every tick; ours is the cost of a call.
        delay = hundred_ns * 100
        if how is TimerDelay.Periodic:
            event.period = max(delay, 1000)
            delay = event.period
        self._arm(event, self.clock.now + delay)

    def stop_timers(self) -> None:
        """No timer fires any more: the first thing ExitBootServices does."""
        for event in self._events.values():
            event.due = None

    def signal(self, handle: int) -> None:
        """SignalEvent: the event, or all events of its group."""
        self._signal_all(self.get(handle))

    def signal_group(self, group: Guid) -> None:
        """Signal every event of a group."""
        for event in list(self._events.values()):
            if event.group == group:
                self._signal(event)

    def check(self, handle: int) -> bool:
        """CheckEvent: whether it is signalled, which it then no longer is; else its wait notification is queued."""
        event = self.get(handle)
        if event.type & NOTIFY_SIGNAL:
            raise EfiError(Status.INVALID_PARAMETER)
        self._tick()
        if event.moment is not None:
            due = event.moment()
            return due is not None and due <= self.clock.now
        if not event.signalled and event.type & NOTIFY_WAIT:
            self._enqueue(event)
        return self.take(event)

    def take(self, event: Event) -> bool:
        """Whether the event is signalled; clears it."""
        was, event.signalled = event.signalled, False
        return was

    def next_due(self) -> int | None:
        """When the next timer runs out, in virtual nanoseconds."""
        while self._timers:
            due, _, handle = self._timers[0]
            event = self._events.get(handle)
            if event is not None and event.due == due:
                return due
            heapq.heappop(self._timers)
        return None

    def next_wake(self, waited: Container[int]) -> int | None:
        """When the next timer runs out that signals one of *waited*, or whose notification may do so."""
        telling = [each for each in self._events.values() if each.handle in waited or each.type & NOTIFY_SIGNAL]
        groups = {each.group for each in telling if each.group is not None}
        dues = [each.due for each in telling if each.due is not None]
        dues += [each.due for each in self._events.values() if each.due is not None and each.group in groups]
        moments = [each.moment() for each in telling if each.moment is not None]
        dues += [each for each in moments if each is not None]
        return min(dues, default=None)

    def ready(self) -> bool:
        """Whether a notification may run at the current TPL."""
        if self._timers:
            self._tick()
        return bool(self._queue) and -self._queue[0][0] > self.tpl

    def dispatch(self) -> Generator[GuestCall, int, None]:
        """Run the notifications that the current TPL lets through, highest first."""
        while self.ready():
            _, _, event = heapq.heappop(self._queue)
            event.queued = False
            if event.type & NOTIFY_SIGNAL:
                event.signalled = False
            before, self.tpl = self.tpl, event.tpl
            yield GuestCall(event.function, event.arguments or (event.handle, event.context))
            self.tpl = before

    def _arm(self, event: Event, due: int) -> None:
        event.due = due
        self._order += 1
        heapq.heappush(self._timers, (due, self._order, event.handle))
        if len(self._timers) > 2 * len(self._events) + 64:
            # Timers that were set anew leave their old entries behind.
            armed = [(each.due, each.handle) for each in self._events.values() if each.due is not None]
            self._timers = [(due, order, handle) for order, (due, handle) in enumerate(armed)]
            heapq.heapify(self._timers)

    def _tick(self) -> None:
        now = self.clock.now
        while (due := self.next_due()) is not None and due <= now:
            event = self._events[heapq.heappop(self._timers)[2]]
            event.due = None
            if event.period:
                # Ticks that were missed are not made up for.
                self._arm(event, due + event.period * ((now - due) // event.period + 1))
            self._signal_all(event)

    def _signal_all(self, event: Event) -> None:
        if event.group is None:
            self._signal(event)
        else:
            self.signal_group(event.group)

    def _signal(self, event: Event) -> None:
        if event.signalled:
            return
        event.signalled = True
        if event.type & NOTIFY_SIGNAL:
            self._enqueue(event)

    def _enqueue(self, event: Event) -> None:
        if event.queued:
            return
        event.queued = True
        self._order += 1
        heapq.heappush(self._queue, (-event.tpl, self._order, event))
