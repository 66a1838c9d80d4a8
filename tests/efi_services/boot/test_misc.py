import time
import zlib

import pytest

from efi_services.guids import RT_PROPERTIES_TABLE, Guid
from efi_services.status import Status

TIMER, NOTIFY_SIGNAL, CALLBACK = 0x8000_0000, 0x200, 8
MINE = Guid(int=5)


class TestMemory:
    """Sections 7.5.3, 7.5.4 and 7.5.7."""

    @pytest.mark.parametrize(("to", "source"), [(0, 100), (100, 0), (0, 10), (10, 0), (5, 5)])
    def test_copy_as_memmove(self, guest, to, source):
        data = bytes(range(200))
        at = guest.put(data)
        guest.call("CopyMem", at + to, at + source, 64)
        expected = bytearray(data)
        expected[to : to + 64] = data[source : source + 64]
        assert guest.bytes_at(at, 200) == expected

    def test_set(self, guest):
        at = guest.put(b"x" * 16)
        guest.call("SetMem", at + 4, 8, 0xFFF_FF41)
        assert guest.bytes_at(at, 16) == b"xxxx" + b"A" * 8 + b"xxxx"

    def test_no_bytes_are_no_access(self, guest):
        guest.call("CopyMem", 0, 0, 0)
        guest.call("SetMem", 0, 0, 0)
        assert {each.status for each in guest.observer.ended[-2:]} == {None}

    def test_crc(self, guest):
        at, out = guest.put(b"123456789"), guest.room()
        assert guest.call("CalculateCrc32", at, 9, out) == Status.SUCCESS
        assert guest.u32(out) == 0xCBF4_3926
        for wrong in ((0, 9, out), (at, 0, out), (at, 9, 0)):
            assert guest.call("CalculateCrc32", *wrong) == Status.INVALID_PARAMETER

    def test_crc_of_more_than_one_piece(self, guest, specification):
        at, out = specification.scratch_end, guest.room()
        size = 0x28_0001
        assert guest.call("CalculateCrc32", at, size, out) == Status.SUCCESS
        assert guest.u32(out) == zlib.crc32(guest.bytes_at(at, size))


class TestCounting:
    """Section 7.5.5."""

    def test_no_number_twice(self, guest):
        out, seen = guest.room(), []
        for service in ("GetNextMonotonicCount",) * 3 + ("GetNextHighMonotonicCount",) + ("GetNextMonotonicCount",) * 2:
            assert guest.call(service, out) == Status.SUCCESS
            if service == "GetNextMonotonicCount":
                seen.append(guest.u64(out))
        assert seen == sorted(set(seen))
        assert seen[-1] >> 32 == 1
        assert guest.call("GetNextMonotonicCount", 0) == Status.INVALID_PARAMETER


class TestStall:
    """Section 7.5.2."""

    def test_time_passes(self, guest):
        before = guest.clock.now
        assert guest.call("Stall", 1500) == Status.SUCCESS
        assert 1_500_000 <= guest.clock.now - before < 1_510_000

    def test_timers_notify_on_the_way(self, guest):
        moments = []
        timer = guest.event(TIMER | NOTIFY_SIGNAL, CALLBACK, lambda *_: moments.append(guest.clock.now))
        guest.call("SetTimer", timer, 1, 10_000)
        start = guest.clock.now
        guest.call("Stall", 3500)
        assert [round((each - start) / 1_000_000) for each in moments] == [1, 2, 3]

    @pytest.mark.parametrize("period", [0, 1, 1_000_000])
    def test_the_longest_stall_with_a_timer_that_says_nothing(self, guest, period):
        guest.call("SetTimer", guest.event(TIMER), 1, period)
        began = time.process_time()
        assert guest.call("Stall", (1 << 64) - 1) == Status.SUCCESS
        assert time.process_time() - began < 1
        assert guest.clock.now == (1 << 64) - 1
        # Time has ended; the firmware has not.
        assert guest.call("Stall", 1) == Status.SUCCESS


class TestWatchdog:
    """Section 7.5.1."""

    def test_it_is_set_and_switched_off(self, guest):
        assert guest.call("SetWatchdogTimer", 5, 0x1_0000, 0, 0) == Status.SUCCESS
        assert 5_000_000_000 <= guest.firmware.watchdog < 5_100_000_000
        assert guest.call("SetWatchdogTimer", 0, 0, 0, 0) == Status.SUCCESS
        assert guest.firmware.watchdog is None

    def test_it_ends_with_boot_services(self, guest):
        guest.call("SetWatchdogTimer", 5, 0x1_0000, 0, 0)
        guest.exit_boot_services()
        guest.clock.advance(1 << 40)
        guest.firmware.check_watchdog()


class TestConfigurationTables:
    """Section 7.5.6."""

    def test_add_replace_remove(self, guest):
        vendor, start = guest.put(MINE), guest.tables()
        assert guest.call("InstallConfigurationTable", vendor, 0x1000) == Status.SUCCESS
        assert guest.tables() == {**start, MINE: 0x1000}
        assert guest.call("InstallConfigurationTable", vendor, 0x2000) == Status.SUCCESS
        assert guest.tables() == {**start, MINE: 0x2000}
        assert guest.call("InstallConfigurationTable", vendor, 0) == Status.SUCCESS
        assert guest.tables() == start
        assert guest.call("InstallConfigurationTable", vendor, 0) == Status.NOT_FOUND
        assert guest.call("InstallConfigurationTable", 0, 5) == Status.INVALID_PARAMETER

    def test_those_who_wait_are_told(self, guest):
        ran, out = [], guest.room()
        function = guest.function(lambda *_: ran.append(guest.tables().get(MINE)))
        guest.call("CreateEventEx", NOTIFY_SIGNAL, CALLBACK, function, 0, guest.put(MINE), out)
        vendor = guest.put(MINE)
        guest.call("InstallConfigurationTable", vendor, 0x1000)
        guest.call("InstallConfigurationTable", guest.put(RT_PROPERTIES_TABLE), 0x1000)
        guest.call("InstallConfigurationTable", vendor, 0x2000)
        guest.call("InstallConfigurationTable", vendor, 0)
        guest.call("InstallConfigurationTable", vendor, 0)
        assert ran == [0x1000, 0x2000, None]
