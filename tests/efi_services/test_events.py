import itertools
import sys

import pytest

from efi_services import guids
from efi_services.events import NOTIFY_SIGNAL, NOTIFY_WAIT, RUNTIME, TIMER, EventQueue, TimerDelay
from efi_services.status import EfiError, Status
from efi_services.types import Guid

CALLBACK, NOTIFY = 8, 16
GROUP = Guid(int=77)


@pytest.fixture
def clock(fakes):
    return fakes.Clock()


@pytest.fixture
def events(clock):
    return EventQueue(clock, itertools.count(0x100, 0x10).__next__, lambda _handle: None)


def refused(status):
    return pytest.raises(EfiError, match=f"^EFI_{status.name}$")


def notify(events, function, tpl=CALLBACK, kind=NOTIFY_SIGNAL, group=None):
    return events.create(kind, tpl, function, 0xC0, group)


def ran(events, body=lambda _call: None):
    """The functions that are called now, in order."""
    called = []
    for call in events.dispatch():
        called.append(call.function)
        body(call)
    return called


@pytest.mark.parametrize(
    "kind",
    [0, TIMER, NOTIFY_WAIT, NOTIFY_SIGNAL, TIMER | NOTIFY_WAIT, TIMER | NOTIFY_SIGNAL, RUNTIME, RUNTIME | NOTIFY_SIGNAL,
     0x201, 0x6000_0202],
)  # fmt: skip
def test_the_types_of_events(events, kind):
    assert events.get(events.create(kind, CALLBACK, 1, 0, None)).type == kind


@pytest.mark.parametrize("kind", [1, 0x300, TIMER | 0x201, 0x202, 0x200 | 2, 0x1000_0000, 0xFFFF_FFFF])
def test_no_other_types(events, kind):
    with refused(Status.INVALID_PARAMETER):
        events.create(kind, CALLBACK, 1, 0, None)


@pytest.mark.parametrize("kind", [NOTIFY_SIGNAL, NOTIFY_WAIT, TIMER | NOTIFY_SIGNAL, 0x201])
def test_a_notification_needs_a_function_and_a_level(events, kind):
    with refused(Status.INVALID_PARAMETER):
        events.create(kind, CALLBACK, 0, 0, None)
    for tpl in (0, 4, 31, 32, 1 << 63):
        with refused(Status.INVALID_PARAMETER):
            events.create(kind, tpl, 1, 0, None)
    for tpl in (5, 8, 16, 30):
        events.create(kind, tpl, 1, 0, None)


def test_an_event_without_notification_needs_neither(events):
    events.create(TIMER, 99, 0, 0, None)


@pytest.mark.parametrize("kind", [0x201, 0x6000_0202])
def test_types_that_stand_for_a_group_cannot_have_another(events, kind):
    with refused(Status.INVALID_PARAMETER):
        events.create(kind, CALLBACK, 1, 0, GROUP)


def test_an_event_that_is_closed_is_none(events):
    handle = events.create(0, 0, 0, 0, None)
    events.close(handle)
    for use in (events.get, events.close, events.signal, events.check):
        with refused(Status.INVALID_PARAMETER):
            use(handle)


def test_checking_takes_the_signal(events):
    handle = events.create(0, 0, 0, 0, None)
    assert not events.check(handle)
    events.signal(handle)
    events.signal(handle)
    assert events.check(handle)
    assert not events.check(handle)


def test_notifications_run_by_level_then_by_age(events):
    order = [notify(events, n, tpl) for n, tpl in ((1, CALLBACK), (2, NOTIFY), (3, CALLBACK), (4, NOTIFY), (5, 20))]
    for handle in order:
        events.signal(handle)
    assert ran(events) == [5, 2, 4, 1, 3]


def test_a_signalled_notification_runs_once(events):
    handle = notify(events, 1)
    events.signal(handle)
    events.signal(handle)
    assert ran(events) == [1]
    assert ran(events) == []
    events.signal(handle)
    assert ran(events) == [1]


def test_the_level_holds_notifications_back(events):
    low, high = notify(events, 1, CALLBACK), notify(events, 2, NOTIFY)
    events.tpl = CALLBACK
    events.signal(low)
    events.signal(high)
    assert ran(events) == [2]
    events.tpl = 4
    assert ran(events) == [1]


def test_a_notification_runs_at_its_own_level(events):
    seen = []
    handles = [notify(events, 1, CALLBACK), notify(events, 2, NOTIFY)]

    def look(call):
        seen.append((call.function, events.tpl))
        # One of the same level has to wait, a higher one runs at once.
        if call.function == 1 and len(seen) == 1:
            events.signal(handles[0])
            events.signal(handles[1])
            assert ran(events, look) == [2]

    events.signal(handles[0])
    assert ran(events, look) == [1, 1]
    assert seen == [(1, CALLBACK), (2, NOTIFY), (1, CALLBACK)]
    assert events.tpl == 4


def test_a_level_that_a_notification_forgot_to_restore(events):
    events.signal(notify(events, 1))

    def misuse(_call):
        events.tpl = 31

    assert ran(events, misuse) == [1]
    assert events.tpl == 4


def test_a_closed_event_does_not_notify_any_more(events):
    first, second, third = (notify(events, n) for n in (1, 2, 3))
    for handle in (first, second, third):
        events.signal(handle)
    assert ran(events, lambda call: events.close(second) if call.function == 1 else None) == [1, 3]


def test_an_event_closes_itself(events):
    handle = notify(events, 1)
    events.signal(handle)
    assert ran(events, lambda _call: events.close(handle)) == [1]


def test_a_wait_notification_runs_when_asked(events):
    handle = notify(events, 1, kind=NOTIFY_WAIT)
    assert not events.check(handle)
    assert ran(events, lambda _call: events.signal(handle)) == [1]
    assert events.check(handle)
    assert ran(events) == []


def test_a_signal_notification_cannot_be_checked(events):
    with refused(Status.INVALID_PARAMETER):
        events.check(notify(events, 1))


def test_a_group_is_signalled_as_one(events):
    members = [notify(events, n, group=GROUP) for n in (1, 2)]
    plain = events.create(0, 0, 0, 0, GROUP)
    other = notify(events, 3, group=Guid(int=78))
    events.signal(plain)
    assert events.check(plain)
    assert ran(events) == [1, 2]
    events.signal(other)
    assert ran(events) == [3]
    events.signal_group(GROUP)
    assert ran(events) == [1, 2]
    events.close(members[0])
    events.signal(members[1])
    assert ran(events) == [2]


def test_types_that_stand_for_a_group_are_in_it(events):
    notify(events, 1, kind=0x201)
    notify(events, 2, group=guids.EVENT_GROUP_EXIT_BOOT_SERVICES)
    notify(events, 3, kind=0x6000_0202)
    events.signal_group(guids.EVENT_GROUP_EXIT_BOOT_SERVICES)
    assert ran(events) == [1, 2]
    events.signal_group(guids.EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE)
    assert ran(events) == [3]


def timer(events, how, hundred_ns, kind=TIMER, function=0, tpl=CALLBACK, group=None):
    handle = events.create(kind, tpl, function, 0, group)
    events.set_timer(handle, how, hundred_ns)
    return handle


def test_a_relative_timer_runs_out_once(events, clock):
    handle = timer(events, TimerDelay.Relative, 10)
    clock.advance(999)
    assert not events.check(handle)
    clock.advance(1)
    assert events.check(handle)
    clock.advance(10_000)
    assert not events.check(handle)
    assert events.next_due() is None


def test_a_periodic_timer_runs_out_again(events, clock):
    handle = timer(events, TimerDelay.Periodic, 20)
    assert [(clock.advance(1000), events.check(handle))[1] for _ in range(6)] == [False, True] * 3


def test_ticks_that_were_missed_are_not_made_up_for(events, clock):
    handle = timer(events, TimerDelay.Periodic, 20, kind=TIMER | NOTIFY_SIGNAL, function=1)
    clock.advance(1_000_001)
    assert ran(events) == [1]
    assert events.next_due() == 1_002_000
    events.close(handle)
    assert events.next_due() is None


@pytest.mark.parametrize("how", [TimerDelay.Periodic, TimerDelay.Relative])
def test_a_trigger_of_zero_is_the_next_tick(events, clock, how):
    handle = timer(events, how, 0)
    clock.advance(1000)
    assert events.check(handle)


@pytest.mark.parametrize("how", list(TimerDelay))
def test_a_timer_is_set_anew(events, clock, how):
    handle = timer(events, TimerDelay.Periodic, 10)
    events.set_timer(handle, how, 1000)
    clock.advance(50_000)
    assert not events.check(handle)
    clock.advance(50_000)
    assert events.check(handle) == (how is not TimerDelay.Cancel)
    clock.advance(200_000)
    assert events.check(handle) == (how is TimerDelay.Periodic)


def test_only_timers_have_a_timer(events):
    with refused(Status.INVALID_PARAMETER):
        events.set_timer(events.create(NOTIFY_SIGNAL, CALLBACK, 1, 0, None), TimerDelay.Relative, 1)
    with refused(Status.INVALID_PARAMETER):
        events.set_timer(0xBAD, TimerDelay.Relative, 1)


def test_a_timer_signals_the_group_of_its_event(events, clock):
    timer(events, TimerDelay.Relative, 1, group=GROUP)
    notify(events, 1, group=GROUP)
    clock.advance(100)
    assert ran(events) == [1]


def test_timers_run_out_in_their_order(events, clock):
    for n, due in ((1, 30), (2, 10), (3, 20)):
        timer(events, TimerDelay.Relative, due, kind=TIMER | NOTIFY_SIGNAL, function=n)
    clock.advance(5000)
    assert ran(events) == [2, 3, 1]


def test_stopped_timers_stay_stopped(events, clock):
    handle = timer(events, TimerDelay.Periodic, 10)
    events.stop_timers()
    clock.advance(1 << 40)
    assert not events.check(handle)
    assert events.next_due() is None


def test_a_timer_that_is_set_for_ever_takes_no_memory(events, clock):
    handles = [timer(events, TimerDelay.Relative, 1 << 40) for _ in range(3)]
    for n in range(20_000):
        clock.advance(1)
        events.set_timer(handles[0], TimerDelay.Relative, (1 << 40) + n)
    assert sys.getsizeof(events._timers) < 10_000
    assert events.next_due() == (1 << 40) * 100
    clock.advance(1 << 60)
    assert [events.check(each) for each in handles] == [True] * 3


def test_the_shortest_period_over_the_longest_time(events, clock):
    timer(events, TimerDelay.Periodic, 1, kind=TIMER | NOTIFY_SIGNAL, function=1)
    clock.advance(1 << 63)
    assert ran(events) == [1]


@pytest.mark.parametrize("how", [TimerDelay.Periodic, TimerDelay.Relative])
def test_a_timer_beyond_the_end_of_time(events, clock, how):
    handle = timer(events, how, (1 << 64) - 1)
    clock.advance(1 << 70)
    assert not events.check(handle)


class TestWaking:
    """Which timer a wait for some events ends with."""

    def test_a_timer_of_the_event_itself(self, events):
        other, mine = timer(events, TimerDelay.Relative, 1), timer(events, TimerDelay.Relative, 5)
        assert events.next_wake({mine}) == 500
        assert events.next_wake({mine, other}) == 100

    def test_a_timer_that_notifies(self, events):
        mine = events.create(0, 0, 0, 0, None)
        timer(events, TimerDelay.Periodic, 10)
        assert events.next_wake({mine}) is None
        timer(events, TimerDelay.Periodic, 20, kind=TIMER | NOTIFY_SIGNAL, function=1)
        assert events.next_wake({mine}) == 2000

    @pytest.mark.parametrize("kind", [0, NOTIFY_SIGNAL])
    def test_a_timer_of_the_same_group(self, events, kind):
        mine = events.create(kind, CALLBACK, 1, 0, GROUP)
        timer(events, TimerDelay.Relative, 7)
        assert events.next_wake({mine}) is None
        timer(events, TimerDelay.Relative, 9, group=GROUP)
        assert events.next_wake({mine}) == 900
