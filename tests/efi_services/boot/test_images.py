import pytest

from efi_services import guids
from efi_services.abi import X86_64
from efi_services.dispatch import RunEnds
from efi_services.guids import LOADED_IMAGE, Guid
from efi_services.protocols.loaded_image import LoadedImage
from efi_services.status import Status

TIMER, NOTIFY_SIGNAL, CALLBACK = 0x8000_0000, 0x200, 8
END = b"\x7f\xff\4\0"
FAILED = Status.ABORTED


def interface(guest, handle):
    return guest.firmware.handles.get(handle, LOADED_IMAGE).interface


def set_unload(guest, handle, body):
    at = interface(guest, handle) + LoadedImage.offsetof(X86_64, "unload")
    guest.memory.write(at, X86_64.pack(guest.function(body)))


def start(guest, handle):
    """StartImage; gives the status and the exit data."""
    size, data = guest.put(77), guest.put(88)
    status = guest.call("StartImage", handle, size, data)
    return status, guest.u64(size), guest.u64(data)


class TestLoading:
    """Section 7.4.1."""

    def test_from_memory(self, guest):
        handle = guest.load(name="child")
        told = LoadedImage.unpack(X86_64, guest.bytes_at(interface(guest, handle), 96))
        assert told.parent_handle == guest.payload
        assert told.load_options_size == 0
        # Without a path of its own it says where it came from.
        assert guest.bytes_at(told.file_path, 4) == b"\1\3\x18\0"

    def test_with_a_device_path(self, guest):
        image, path, out = guest.image(name="child"), guest.put(b"\4\4\6\0a\0" + END), guest.room()
        arguments = 0, guest.payload, path, guest.put(image.file), len(image.file), out
        assert guest.call("LoadImage", *arguments) == Status.SUCCESS
        told = LoadedImage.unpack(X86_64, guest.bytes_at(interface(guest, guest.u64(out)), 96))
        assert guest.bytes_at(told.file_path, 10) == b"\4\4\6\0a\0" + END

    def test_what_cannot_be_loaded(self, guest):
        image, out = guest.image(name="child"), guest.room()
        source, size = guest.put(image.file), len(image.file)
        path = guest.put(END)
        for arguments, status in (
            ((0, 0, 0, source, size, out), Status.INVALID_PARAMETER),
            ((0, 0xBAD, 0, source, size, out), Status.INVALID_PARAMETER),
            ((0, guest.payload, 0, source, size, 0), Status.INVALID_PARAMETER),
            ((0, guest.payload, 0, 0, 0, out), Status.NOT_FOUND),
            ((1, guest.payload, path, 0, 0, out), Status.NOT_FOUND),
            ((0, guest.payload, 0, source, 0, out), Status.LOAD_ERROR),
            ((0, guest.payload, 0, source, size - 1, out), Status.LOAD_ERROR),
            ((0, guest.payload, 0, guest.put(b"#!/bin/sh"), 9, out), Status.UNSUPPORTED),
            ((0, guest.payload, 0, source, 1 << 31, out), Status.OUT_OF_RESOURCES),
        ):
            assert guest.call("LoadImage", *arguments) == status
        # Any handle is no image.
        device = LoadedImage.unpack(X86_64, guest.bytes_at(interface(guest, guest.payload), 96)).device_handle
        assert guest.call("LoadImage", 0, device, 0, source, size, out) == Status.INVALID_PARAMETER

    @pytest.mark.parametrize("source", [(1 << 64) - 1, (1 << 64) - 8, 0x10])
    def test_a_source_where_no_memory_is(self, guest, source):
        with pytest.raises(RunEnds, match="LoadImage"):
            guest.call("LoadImage", 0, guest.payload, 0, source, 1 << 20, guest.room())


class TestStarting:
    """Section 7.4.2."""

    def test_an_application_returns_and_is_unloaded(self, guest):
        seen = []
        handle = guest.load(lambda *arguments: seen.append(arguments[:2]), name="child")
        used = guest.firmware.memory_map.used
        assert start(guest, handle) == (Status.SUCCESS, 0, 0)
        assert seen == [(handle, guest.firmware.system_table)]
        assert guest.firmware.memory_map.used < used
        assert start(guest, handle)[0] == Status.INVALID_PARAMETER

    def test_what_it_returns_is_what_start_image_returns(self, guest):
        handle = guest.load(lambda *_: FAILED, name="child")
        assert start(guest, handle)[0] == FAILED
        other = guest.load(lambda *_: 5, name="child")
        assert guest.call("StartImage", other, 0, 0) == 5

    @pytest.mark.parametrize(("subsystem", "status", "stays"), [(11, 0, True), (12, 0, True), (11, FAILED, False)])
    def test_a_driver_stays_if_it_succeeds(self, guest, subsystem, status, stays):
        handle = guest.load(lambda *_: status, name="driver", subsystem=subsystem)
        assert start(guest, handle)[0] == status
        assert (handle in guest.firmware.handles) == stays
        assert start(guest, handle)[0] == Status.INVALID_PARAMETER

    def test_what_is_no_image(self, guest):
        for handle in (0, 0xBAD, guest.payload):
            assert start(guest, handle)[0] == Status.INVALID_PARAMETER

    def test_a_level_that_an_image_forgot_to_restore(self, guest):
        handle = guest.load(lambda *_: guest.call("RaiseTPL", 16), name="child")
        start(guest, handle)
        assert guest.firmware.events.tpl == 4

    def test_images_start_images(self, guest):
        order = []

        def parent(*_):
            order.append("parent")
            order.append(start(guest, child)[0])
            return 7

        child = guest.load(lambda *_: order.append("child") or FAILED, name="child")
        handle = guest.load(parent, name="parent")
        assert start(guest, handle)[0] == 7
        assert order == ["parent", "child", FAILED]
        assert guest.firmware.images.current.handle == guest.payload


class TestExit:
    """Section 7.4.5."""

    def test_the_status_goes_to_start_image(self, guest):
        handle = guest.load(lambda image, *_: guest.call("Exit", image, FAILED, 0, 0), name="child")
        assert start(guest, handle) == (FAILED, 0, 0)
        assert handle not in guest.firmware.handles

    def test_exit_does_not_return(self, guest):
        after = []

        def main(image, *_):
            guest.call("Exit", image, 0, 0, 0)
            after.append(1)

        start(guest, guest.load(main, name="child"))
        assert after == []

    def test_exit_data(self, guest):
        text = "It did not work\0".encode("utf-16-le")
        data = guest.put(text)
        handle = guest.load(lambda image, *_: guest.call("Exit", image, FAILED, len(text), data), name="child")
        status, size, at = start(guest, handle)
        assert (status, size) == (FAILED, len(text))
        assert at != data
        assert guest.bytes_at(at, size) == text
        assert guest.call("FreePool", at) == Status.SUCCESS

    def test_success_has_no_exit_data(self, guest):
        data = guest.put(b"never read")
        handle = guest.load(lambda image, *_: guest.call("Exit", image, 0, 10, data), name="child")
        assert start(guest, handle) == (Status.SUCCESS, 0, 0)

    def test_more_exit_data_than_there_is_room_for(self, guest, specification):
        seen = []

        def main(image, *_):
            seen.append(guest.call("Exit", image, FAILED, specification.size, specification.base))
            return 5

        handle = guest.load(main, name="child")
        assert start(guest, handle) == (5, 0, 0)
        assert seen == [Status.OUT_OF_RESOURCES]
        assert not guest.firmware.images.get(guest.payload).left_by_exit

    def test_from_a_notification(self, guest):
        after = []

        def notify(*_):
            guest.call("Exit", handle, FAILED, 0, 0)
            after.append("notification")

        def main(*_):
            event = guest.event(NOTIFY_SIGNAL, CALLBACK, notify)
            guest.call("SignalEvent", event)
            after.append("main")

        handle = guest.load(main, name="child")
        assert start(guest, handle)[0] == FAILED
        assert after == []
        assert guest.firmware.events.tpl == 4
        left = [each.service for each in guest.observer.ended[-3:]]
        assert left == ["Exit", "SignalEvent", "StartImage"]
        assert [each.status for each in guest.observer.ended[-3:]] == [None, None, "EFI_ABORTED"]
        # Afterwards everything works as before.
        assert start(guest, guest.load(lambda *_: 3, name="next"))[0] == 3

    def test_from_notifications_inside_notifications(self, guest):
        inner = guest.event(NOTIFY_SIGNAL, 16, lambda *_: guest.call("Exit", handle, FAILED, 0, 0))
        outer = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: guest.call("SignalEvent", inner))
        handle = guest.load(lambda *_: guest.call("SignalEvent", outer), name="child")
        assert start(guest, handle)[0] == FAILED

    def test_only_the_image_that_runs(self, guest):
        seen = []

        def child(*_):
            seen.append(guest.call("Exit", guest.payload, 0, 0, 0))
            seen.append(guest.call("Exit", parent_handle, 0, 0, 0))
            seen.append(guest.call("Exit", 0xBAD, 0, 0, 0))

        child_handle = guest.load(child, name="child")
        parent_handle = guest.load(lambda *_: start(guest, child_handle)[0], name="parent")
        start(guest, parent_handle)
        assert seen == [Status.INVALID_PARAMETER] * 3

    def test_an_image_that_was_never_started_is_unloaded(self, guest):
        handle = guest.load(name="child")
        assert guest.call("Exit", handle, FAILED, 0, 0) == Status.SUCCESS
        assert handle not in guest.firmware.handles

    def test_a_driver_that_has_returned(self, guest):
        handle = guest.load(name="driver", subsystem=11)
        start(guest, handle)
        assert guest.call("Exit", handle, 0, 0, 0) == Status.INVALID_PARAMETER

    def test_the_payload_ends_the_run(self, guest):
        with pytest.raises(RunEnds) as ended:
            guest.call("Exit", guest.payload, FAILED, 0, 0)
        assert (ended.value.kind, ended.value.status, ended.value.detail) == ("exited", FAILED, "")

    def test_the_payloads_last_words(self, guest):
        words = guest.put("no root")
        with pytest.raises(RunEnds) as ended:
            guest.call("Exit", guest.payload, FAILED, 16, words)
        assert ended.value.detail == "no root"

    def test_before_anything_runs(self, power_on):
        guest = power_on()
        guest.payload = guest.firmware.load_payload(guest.image().file, "p", None).handle
        guest.firmware.images.get(guest.payload).started = True
        assert guest.call("Exit", guest.payload, 0, 0, 0) == Status.INVALID_PARAMETER


class TestUnloading:
    """Section 7.4.3."""

    def test_before_it_is_started(self, guest):
        handle = guest.load(name="child")
        assert guest.call("UnloadImage", handle) == Status.SUCCESS
        assert guest.call("UnloadImage", handle) == Status.INVALID_PARAMETER

    def test_an_image_that_cannot_be_unloaded(self, guest):
        handle = guest.load(name="driver", subsystem=11)
        start(guest, handle)
        assert guest.call("UnloadImage", handle) == Status.UNSUPPORTED
        assert guest.call("UnloadImage", guest.payload) == Status.UNSUPPORTED
        assert handle in guest.firmware.handles

    @pytest.mark.parametrize(("answer", "gone"), [(0, True), (FAILED, False)])
    def test_an_image_decides_itself(self, guest, answer, gone):
        seen = []
        handle = guest.load(name="driver", subsystem=11)
        start(guest, handle)
        set_unload(guest, handle, lambda *arguments: seen.append(arguments[0]) or answer)
        assert guest.call("UnloadImage", handle) == answer
        assert seen == [handle]
        assert (handle not in guest.firmware.handles) == gone

    def test_what_is_no_image(self, guest):
        assert guest.call("UnloadImage", 0) == Status.INVALID_PARAMETER

    def test_an_image_unloads_itself_while_it_runs(self, guest):
        seen = []

        def main(image, *_):
            set_unload(guest, image, lambda *_: 0)
            seen.append(guest.call("UnloadImage", image))
            seen.append(guest.call("Exit", image, 0, 0, 0))
            return 9

        handle = guest.load(main, name="child")
        assert start(guest, handle)[0] == 9
        assert seen == [Status.SUCCESS, Status.INVALID_PARAMETER]
        assert guest.firmware.images.current.handle == guest.payload

    def test_an_unload_function_that_unloads(self, guest):
        handle = guest.load(name="driver", subsystem=11)
        start(guest, handle)
        calls = []

        def unload(image, *_):
            calls.append(1)
            return guest.call("UnloadImage", image) if len(calls) == 1 else 0

        set_unload(guest, handle, unload)
        assert guest.call("UnloadImage", handle) == Status.SUCCESS
        assert len(calls) == 2
        assert handle not in guest.firmware.handles

    def test_without_its_protocol(self, guest):
        handle = guest.load(name="driver", subsystem=11)
        start(guest, handle)
        at = interface(guest, handle)
        assert guest.call("UninstallProtocolInterface", handle, guest.put(LOADED_IMAGE), at) == Status.SUCCESS
        assert guest.call("UnloadImage", handle) == Status.UNSUPPORTED


class TestExitBootServices:
    """Section 7.4.6."""

    def test_it_ends_boot_services(self, guest):
        assert guest.call("ExitBootServices", guest.payload, guest.map_key()) == Status.SUCCESS
        assert guest.firmware.boot_services_exited
        assert guest.cpu.masked == 1

    def test_a_stale_key_and_a_second_try(self, guest):
        key = guest.map_key()
        out = guest.room()
        guest.call("AllocatePool", 2, 8192, out)
        for wrong in (key, guest.map_key() + 1, 0, (1 << 64) - 1):
            assert guest.call("ExitBootServices", guest.payload, wrong) == Status.INVALID_PARAMETER
        assert not guest.firmware.boot_services_exited
        assert guest.cpu.masked == 0
        # What a stub needs in between still works.
        assert guest.call("FreePool", guest.u64(out)) == Status.SUCCESS
        guest.exit_boot_services()

    @pytest.mark.parametrize("handle", [0, 0xBAD])
    def test_whose_handle_it_is_makes_no_difference(self, guest, handle):
        """A kernel that shim loaded gives a handle that shim made."""
        assert guest.call("ExitBootServices", handle, guest.map_key()) == Status.SUCCESS
        assert guest.firmware.boot_services_exited

    def watch(self, guest):
        """Events of every way to hear of it; gives what ran."""
        ran = []
        before, at_exit = guids.EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES, guids.EVENT_GROUP_EXIT_BOOT_SERVICES
        for name, group in (("before", before), ("group", at_exit), ("other", Guid(int=1))):
            function = guest.function(lambda *_, name=name: ran.append(name))
            guest.call("CreateEventEx", NOTIFY_SIGNAL, CALLBACK, function, 0, guest.put(group), guest.room())
        guest.event(0x201, CALLBACK, lambda *_: ran.append("type"))
        return ran

    def test_those_who_wait_are_told_once(self, guest):
        ran = self.watch(guest)
        guest.exit_boot_services()
        assert ran == ["before", "group", "type"]
        guest.call("ExitBootServices", guest.payload, 0)
        assert ran == ["before", "group", "type"]

    def test_a_failed_try_tells_only_those_who_come_before(self, guest):
        ran = self.watch(guest)
        for _ in range(2):
            assert guest.call("ExitBootServices", guest.payload, 0) == Status.INVALID_PARAMETER
        assert ran == ["before"]
        guest.exit_boot_services()
        assert ran == ["before", "group", "type"]

    def test_one_who_allocates_before_makes_the_key_stale(self, guest):
        def allocate(*_):
            guest.call("AllocatePages", 0, 2, 1, guest.put(0))

        group = guest.put(guids.EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES)
        guest.call("CreateEventEx", NOTIFY_SIGNAL, CALLBACK, guest.function(allocate), 0, group, guest.room())
        assert guest.call("ExitBootServices", guest.payload, guest.map_key()) == Status.INVALID_PARAMETER
        guest.exit_boot_services()

    def test_timers_are_off(self, guest):
        ran = []
        timer = guest.event(TIMER | NOTIFY_SIGNAL, CALLBACK, lambda *_: ran.append(1))
        guest.call("SetTimer", timer, 1, 10_000)
        guest.clock.advance(100)
        guest.exit_boot_services()
        ran.clear()
        guest.clock.advance(1 << 40)
        guest.call("GetTime", guest.room(16), 0)
        assert ran == []

    def test_runtime_services_go_on(self, guest):
        guest.exit_boot_services()
        assert guest.call("GetTime", guest.room(16), 0) == Status.SUCCESS

    def test_memory_that_the_kernel_needs_stays_as_it_was(self, guest):
        image = guest.firmware.images.get(guest.payload)
        out = guest.put(0)
        guest.call("AllocatePages", 0, 9, 1, out)
        guest.memory.write(guest.u64(out), b"keep")
        before = guest.bytes_at(image.base, image.size)
        guest.exit_boot_services()
        assert guest.bytes_at(guest.u64(out), 4) == b"keep"
        assert guest.bytes_at(image.base, image.size) == before

    def test_from_inside_its_own_notification(self, guest):
        seen = []

        def notify(*_):
            seen.append(guest.call("ExitBootServices", guest.payload, guest.firmware.memory_map.key))

        guest.event(0x201, CALLBACK, notify)
        guest.exit_boot_services()
        assert seen[0] == Status.SUCCESS
        assert guest.firmware.boot_services_exited
