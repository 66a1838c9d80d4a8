import struct

import pytest

from efi_services.dispatch import RunEnds
from efi_services.events import POLL_INTERVAL
from efi_services.guids import Guid
from efi_services.status import Status

TIMER, NOTIFY_WAIT, NOTIFY_SIGNAL = 0x8000_0000, 0x100, 0x200
APPLICATION, CALLBACK, NOTIFY, HIGH = 4, 8, 16, 31
CANCEL, PERIODIC, RELATIVE = range(3)
SECOND = 1_000_000_000


def wait(guest, *events, count=None):
    index = guest.room()
    status = guest.call("WaitForEvent", len(events) if count is None else count, array(guest, *events), index)
    return status, guest.u64(index)


def array(guest, *events):
    return guest.put(struct.pack(f"<{len(events)}Q", *events) or bytes(8))


class TestLevels:
    """Section 7.1.8 and 7.1.9."""

    def test_raise_gives_the_old_level(self, guest):
        assert guest.call("RaiseTPL", NOTIFY) == APPLICATION
        assert guest.call("RaiseTPL", HIGH) == NOTIFY
        guest.call("RestoreTPL", APPLICATION)
        assert guest.call("RaiseTPL", APPLICATION) == APPLICATION

    @pytest.mark.parametrize("new", [APPLICATION, 32, 1 << 63])
    def test_raising_downwards_or_beyond_is_told(self, guest, new):
        guest.call("RaiseTPL", CALLBACK)
        guest.call("RaiseTPL", new)
        assert guest.observer.findings[-1][0] == "tpl-misuse"
        assert guest.firmware.events.tpl == CALLBACK

    def test_restoring_upwards_is_told(self, guest):
        guest.call("RestoreTPL", NOTIFY)
        assert guest.observer.findings[-1][0] == "tpl-misuse"
        assert guest.firmware.events.tpl == APPLICATION

    def test_notifications_wait_for_the_level_to_drop(self, guest):
        ran = []
        low = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: ran.append("low"))
        high = guest.event(NOTIFY_SIGNAL, NOTIFY, lambda *_: ran.append("high"))
        guest.call("RaiseTPL", NOTIFY)
        guest.call("SignalEvent", low)
        guest.call("SignalEvent", high)
        assert ran == []
        guest.call("RestoreTPL", CALLBACK)
        assert ran == ["high"]
        guest.call("RestoreTPL", APPLICATION)
        assert ran == ["high", "low"]

    def test_a_raised_level_holds_timers_back(self, guest):
        ran = []
        timer = guest.event(TIMER | NOTIFY_SIGNAL, CALLBACK, lambda *_: ran.append(guest.clock.now))
        guest.call("SetTimer", timer, PERIODIC, 10_000)
        guest.call("RaiseTPL", NOTIFY)
        guest.call("Stall", 5_000)
        assert ran == []
        guest.call("RestoreTPL", APPLICATION)
        assert len(ran) == 1
        guest.call("Stall", 5_000)
        assert len(ran) == 6


class TestCreating:
    """Sections 7.1.1 to 7.1.3."""

    @pytest.mark.parametrize(
        ("kind", "tpl", "function"),
        [(0x300, CALLBACK, 1), (NOTIFY_SIGNAL, CALLBACK, 0), (NOTIFY_SIGNAL, HIGH, 1), (NOTIFY_WAIT, APPLICATION, 1)],
    )
    def test_what_makes_no_sense(self, guest, kind, tpl, function):
        out = guest.room()
        assert guest.call("CreateEvent", kind, tpl, function, 0, out) == Status.INVALID_PARAMETER
        assert guest.call("CreateEventEx", kind, tpl, function, 0, 0, out) == Status.INVALID_PARAMETER

    def test_somewhere_to_put_the_event(self, guest):
        assert guest.call("CreateEvent", 0, 0, 0, 0, 0) == Status.INVALID_PARAMETER
        assert guest.call("CreateEventEx", 0, 0, 0, 0, 0, 0) == Status.INVALID_PARAMETER

    def test_groups(self, guest):
        ran, group = [], guest.put(Guid(int=5))
        members = []
        for name in "ab":
            out, function = guest.room(), guest.function(lambda *_, name=name: ran.append(name))
            assert guest.call("CreateEventEx", NOTIFY_SIGNAL, CALLBACK, function, 0, group, out) == Status.SUCCESS
            members.append(guest.u64(out))
        lonely = guest.room()
        guest.call("CreateEventEx", NOTIFY_SIGNAL, CALLBACK, guest.function(lambda *_: ran.append("x")), 0, 0, lonely)
        guest.call("SignalEvent", members[1])
        assert sorted(ran) == ["a", "b"]
        assert guest.call("CloseEvent", members[0]) == Status.SUCCESS
        guest.call("SignalEvent", members[1])
        assert sorted(ran) == ["a", "b", "b"]

    @pytest.mark.parametrize("kind", [0x201, 0x6000_0202])
    def test_a_group_beside_a_type_that_is_one(self, guest, kind):
        arguments = kind, CALLBACK, 1, 0, guest.put(Guid(int=5)), guest.room()
        assert guest.call("CreateEventEx", *arguments) == Status.INVALID_PARAMETER

    def test_closing(self, guest):
        event = guest.event()
        assert guest.call("CloseEvent", event) == Status.SUCCESS
        for service in ("CloseEvent", "SignalEvent", "CheckEvent"):
            assert guest.call(service, event) == Status.INVALID_PARAMETER
        assert guest.call("SetTimer", event, RELATIVE, 0) == Status.INVALID_PARAMETER

    def test_an_event_closes_itself_while_it_notifies(self, guest):
        ran = []

        def notify(event, *_):
            ran.append(guest.call("CloseEvent", event))

        event = guest.event(TIMER | NOTIFY_SIGNAL, CALLBACK, notify)
        guest.call("SetTimer", event, PERIODIC, 10)
        guest.call("Stall", 100)
        assert ran == [Status.SUCCESS]
        assert guest.call("SignalEvent", event) == Status.INVALID_PARAMETER

    def test_events_for_ever_take_no_memory(self, guest):
        for _ in range(3):
            guest.call("CloseEvent", guest.event())
        used = guest.firmware.memory_map.used
        for _ in range(600):
            guest.free -= 16
            guest.call("CloseEvent", guest.event())
        assert guest.firmware.memory_map.used == used


class TestChecking:
    """Section 7.1.6."""

    def test_a_plain_event(self, guest):
        event = guest.event()
        assert guest.call("CheckEvent", event) == Status.NOT_READY
        guest.call("SignalEvent", event)
        assert guest.call("CheckEvent", event) == Status.SUCCESS
        assert guest.call("CheckEvent", event) == Status.NOT_READY

    def test_a_signal_notification_cannot_be_checked(self, guest):
        event = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: 0)
        assert guest.call("CheckEvent", event) == Status.INVALID_PARAMETER

    def test_a_wait_notification_may_signal(self, guest):
        answers = iter([False, True])

        def poll(event, *_):
            if next(answers):
                guest.call("SignalEvent", event)

        event = guest.event(NOTIFY_WAIT, CALLBACK, poll)
        assert guest.call("CheckEvent", event) == Status.NOT_READY
        assert guest.call("CheckEvent", event) == Status.SUCCESS
        guest.call("SignalEvent", event)
        # Signalled already: nobody is asked.
        assert guest.call("CheckEvent", event) == Status.SUCCESS

    def test_a_wait_notification_that_the_level_holds_back(self, guest):
        ran = []
        event = guest.event(NOTIFY_WAIT, CALLBACK, lambda *_: ran.append(1))
        guest.call("RaiseTPL", NOTIFY)
        assert guest.call("CheckEvent", event) == guest.call("CheckEvent", event) == Status.NOT_READY
        assert ran == []
        guest.call("RestoreTPL", APPLICATION)
        assert ran == [1]

    def test_an_event_that_its_notification_closes(self, guest):
        event = guest.event(NOTIFY_WAIT, CALLBACK, lambda event, *_: guest.call("CloseEvent", event))
        assert guest.call("CheckEvent", event) == Status.INVALID_PARAMETER


class TestWaiting:
    """Section 7.1.5."""

    def test_the_first_that_is_signalled(self, guest):
        events = [guest.event() for _ in range(3)]
        guest.call("SignalEvent", events[2])
        guest.call("SignalEvent", events[1])
        assert wait(guest, *events) == (Status.SUCCESS, 1)
        assert wait(guest, *events) == (Status.SUCCESS, 2)

    def test_a_timer(self, guest):
        timer, other = guest.event(TIMER), guest.event()
        before = guest.clock.now
        guest.call("SetTimer", timer, RELATIVE, 10_000_000)
        assert wait(guest, other, timer) == (Status.SUCCESS, 1)
        assert SECOND <= guest.clock.now - before < SECOND + 100_000

    def test_a_periodic_timer_keeps_its_pace(self, guest):
        timer = guest.event(TIMER)
        guest.call("SetTimer", timer, PERIODIC, 1_000_000)
        start = guest.clock.now
        for _ in range(10):
            assert wait(guest, timer)[0] == Status.SUCCESS
        assert 0.99 * SECOND < guest.clock.now - start < 1.01 * SECOND

    def test_a_notification_signals(self, guest):
        event = guest.event()
        timer = guest.event(TIMER | NOTIFY_SIGNAL, CALLBACK, lambda *_: guest.call("SignalEvent", event))
        guest.call("SetTimer", timer, RELATIVE, 10_000_000)
        assert wait(guest, event) == (Status.SUCCESS, 0)

    def test_a_wait_notification_polls(self, guest):
        polls = []

        def poll(event, *_):
            polls.append(guest.clock.now)
            if len(polls) == 5:
                guest.call("SignalEvent", event)

        event = guest.event(NOTIFY_WAIT, CALLBACK, poll)
        assert wait(guest, event) == (Status.SUCCESS, 0)
        assert len(polls) == 5
        assert polls[1] - polls[0] >= POLL_INTERVAL

    def test_what_cannot_be_waited_for(self, guest):
        signal = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: 0)
        plain = guest.event()
        assert wait(guest, count=0)[0] == Status.INVALID_PARAMETER
        assert wait(guest, plain, signal) == (Status.INVALID_PARAMETER, 1)
        assert wait(guest, plain, plain, 0xBAD) == (Status.INVALID_PARAMETER, 2)
        assert guest.call("WaitForEvent", 1, 0, guest.room()) == Status.INVALID_PARAMETER
        assert guest.call("WaitForEvent", 1, array(guest, plain), 0) == Status.INVALID_PARAMETER
        guest.call("RaiseTPL", CALLBACK)
        assert wait(guest, plain)[0] == Status.UNSUPPORTED

    def test_waiting_inside_a_notification(self, guest):
        plain, seen = guest.event(), []
        outer = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: seen.append(wait(guest, plain)[0]))
        guest.call("SignalEvent", outer)
        assert seen == [Status.UNSUPPORTED]

    def test_an_event_that_is_closed_while_it_is_waited_for(self, guest):
        event = guest.event(NOTIFY_WAIT, CALLBACK, lambda event, *_: guest.call("CloseEvent", event))
        assert wait(guest, event) == (Status.INVALID_PARAMETER, 0)

    def test_nothing_to_wait_for(self, guest):
        with pytest.raises(RunEnds, match="nothing will ever signal") as ended:
            wait(guest, guest.event(), guest.event(TIMER))
        assert ended.value.kind == "budget"

    def test_a_timer_that_has_nothing_to_do_with_it(self, guest):
        other = guest.event(TIMER)
        guest.call("SetTimer", other, PERIODIC, 0)
        with pytest.raises(RunEnds, match="nothing will ever signal"):
            wait(guest, guest.event())

    def test_a_timer_after_the_end_of_time(self, guest):
        timer = guest.event(TIMER)
        guest.call("SetTimer", timer, RELATIVE, (1 << 64) - 1)
        with pytest.raises(RunEnds, match="end of virtual time") as ended:
            wait(guest, timer)
        assert ended.value.kind == "budget"

    def test_a_wait_at_the_end_of_time(self, guest):
        guest.call("Stall", (1 << 64) - 1)
        timer = guest.event(TIMER)
        guest.call("SetTimer", timer, RELATIVE, 1)
        with pytest.raises(RunEnds, match="end of virtual time"):
            wait(guest, timer)

    def test_far_more_events_than_there_are(self, guest):
        event = guest.event()
        assert wait(guest, event, count=(1 << 64) - 1)[0] == Status.INVALID_PARAMETER

    def test_the_watchdog_ends_a_wait(self, guest):
        guest.call("SetWatchdogTimer", 300, 0x1_0000, 0, 0)
        with pytest.raises(RunEnds, match="watchdog") as ended:
            wait(guest, guest.event())
        assert ended.value.kind == "reset"

    def test_a_timer_before_the_watchdog(self, guest):
        guest.call("SetWatchdogTimer", 300, 0x1_0000, 0, 0)
        timer = guest.event(TIMER)
        guest.call("SetTimer", timer, RELATIVE, 10_000_000)
        assert wait(guest, timer)[0] == Status.SUCCESS


class TestTimers:
    """Section 7.1.7."""

    def test_what_has_no_timer(self, guest):
        assert guest.call("SetTimer", guest.event(), RELATIVE, 1) == Status.INVALID_PARAMETER
        assert guest.call("SetTimer", guest.event(TIMER), 3, 1) == Status.INVALID_PARAMETER
        assert guest.call("SetTimer", 0, RELATIVE, 1) == Status.INVALID_PARAMETER

    @pytest.mark.parametrize(("how", "runs"), [(RELATIVE, 1), (PERIODIC, 10), (CANCEL, 0)])
    def test_kinds(self, guest, how, runs):
        ran = []
        timer = guest.event(TIMER | NOTIFY_SIGNAL, CALLBACK, lambda *_: ran.append(1))
        guest.call("SetTimer", timer, PERIODIC, 1_000)
        assert guest.call("SetTimer", timer, how, 10_000) == Status.SUCCESS
        guest.call("Stall", 10_050)
        assert len(ran) == runs

    def test_a_timer_that_notifies_restarts_itself(self, guest):
        ran = []

        def again(event, *_):
            ran.append(guest.clock.now)
            if len(ran) < 4:
                guest.call("SetTimer", event, RELATIVE, 100)

        timer = guest.event(TIMER | NOTIFY_SIGNAL, NOTIFY, again)
        guest.call("SetTimer", timer, RELATIVE, 100)
        guest.call("Stall", 1000)
        assert len(ran) == 4


def test_an_event_that_signals_itself_runs_again_and_does_not_nest(guest):
    depth, deepest, ran = 0, 0, 0

    def again(event, *_):
        nonlocal depth, deepest, ran
        depth += 1
        deepest = max(deepest, depth)
        ran += 1
        if ran < 500:
            guest.call("SignalEvent", event)
        depth -= 1

    event = guest.event(NOTIFY_SIGNAL, CALLBACK, again)
    assert guest.call("SignalEvent", event) == Status.SUCCESS
    assert (ran, deepest) == (500, 1)
