import struct

import pytest

from efi_services.device_path import END, file_path, vendor_hardware, vendor_media
from efi_services.guids import DEVICE_PATH, LOADED_IMAGE, Guid
from efi_services.status import Status

A, B, C, NOWHERE = (Guid(int=each) for each in (1, 2, 3, 4))
NOTIFY_SIGNAL, CALLBACK = 0x200, 8
GET, DRIVER, EXCLUSIVE, TEST = 2, 0x10, 0x20, 4
ALL, NOTIFIED, BY_PROTOCOL = range(3)


def install(guest, handle, guid, interface=0xF00):
    at = guest.put(handle)
    status = guest.call("InstallProtocolInterface", at, guest.put(guid), 0, interface)
    return status, guest.u64(at)


def new(guest, *protocols):
    handle = 0
    for guid in protocols or (A,):
        status, handle = install(guest, handle, guid)
        assert status == Status.SUCCESS
    return handle


def pairs(guest, *given):
    flat = [each for guid, interface in given for each in (guest.put(guid), interface)]
    # Behind the NULL lies whatever lies there.
    return [*flat, 0, 0xBAD]


def handles_of(guest, guid):
    size, buffer = guest.put(0x400), guest.room(0x400)
    status = guest.call("LocateHandle", BY_PROTOCOL, guest.put(guid), 0, size, buffer)
    if status == Status.NOT_FOUND:
        return []
    assert status == Status.SUCCESS
    return list(struct.unpack(f"<{guest.u64(size) // 8}Q", guest.bytes_at(buffer, guest.u64(size))))


def has(guest, handle, *protocols):
    return [guest.call("HandleProtocol", handle, guest.put(each), guest.room()) == Status.SUCCESS for each in protocols]


class TestInstalling:
    """Sections 7.3.2 to 7.3.4."""

    def test_a_new_handle_and_an_old_one(self, guest):
        _, handle = install(guest, 0, A, 0x111)
        assert install(guest, handle, B, 0) == (Status.SUCCESS, handle)
        out = guest.room()
        assert guest.call("HandleProtocol", handle, guest.put(A), out) == Status.SUCCESS
        assert guest.u64(out) == 0x111
        assert guest.call("HandleProtocol", handle, guest.put(B), out) == Status.SUCCESS
        assert guest.u64(out) == 0

    def test_what_cannot_be_installed(self, guest):
        handle = new(guest)
        assert install(guest, handle, A)[0] == Status.INVALID_PARAMETER
        assert install(guest, 0xBAD, A)[0] == Status.INVALID_PARAMETER
        at, guid = guest.put(0), guest.put(A)
        assert guest.call("InstallProtocolInterface", 0, guid, 0, 1) == Status.INVALID_PARAMETER
        assert guest.call("InstallProtocolInterface", at, 0, 0, 1) == Status.INVALID_PARAMETER
        assert guest.call("InstallProtocolInterface", at, guid, 1, 1) == Status.INVALID_PARAMETER
        assert guest.u64(at) == 0

    def test_uninstalling(self, guest):
        handle = new(guest, A, B)
        guid = guest.put(A)
        assert guest.call("UninstallProtocolInterface", handle, guid, 0xBAD) == Status.NOT_FOUND
        assert guest.call("UninstallProtocolInterface", handle, guest.put(C), 0xF00) == Status.NOT_FOUND
        assert guest.call("UninstallProtocolInterface", 0xBAD, guid, 0xF00) == Status.INVALID_PARAMETER
        assert guest.call("UninstallProtocolInterface", handle, 0, 0xF00) == Status.INVALID_PARAMETER
        assert guest.call("UninstallProtocolInterface", handle, guid, 0xF00) == Status.SUCCESS
        assert has(guest, handle, A, B) == [False, True]
        assert guest.call("UninstallProtocolInterface", handle, guest.put(B), 0xF00) == Status.SUCCESS
        out = guest.room()
        assert guest.call("HandleProtocol", handle, guest.put(B), out) == Status.INVALID_PARAMETER

    def test_reinstalling(self, guest):
        handle, guid, out = new(guest), guest.put(A), guest.room()
        assert guest.call("ReinstallProtocolInterface", handle, guid, 0xBAD, 5) == Status.NOT_FOUND
        assert guest.call("ReinstallProtocolInterface", handle, guest.put(B), 0xF00, 5) == Status.NOT_FOUND
        assert guest.call("ReinstallProtocolInterface", 0xBAD, guid, 0xF00, 5) == Status.INVALID_PARAMETER
        assert guest.call("ReinstallProtocolInterface", handle, guid, 0xF00, 5) == Status.SUCCESS
        assert guest.call("HandleProtocol", handle, guid, out) == Status.SUCCESS
        assert guest.u64(out) == 5

    def test_what_a_driver_manages_stays(self, guest):
        handle, guid = new(guest), guest.put(A)
        opened = handle, guid, guest.room(), guest.payload, handle, DRIVER
        assert guest.call("OpenProtocol", *opened) == Status.SUCCESS
        assert guest.call("UninstallProtocolInterface", handle, guid, 0xF00) == Status.ACCESS_DENIED
        assert guest.call("ReinstallProtocolInterface", handle, guid, 0xF00, 5) == Status.ACCESS_DENIED
        assert guest.call("CloseProtocol", handle, guid, guest.payload, handle) == Status.SUCCESS
        assert guest.call("UninstallProtocolInterface", handle, guid, 0xF00) == Status.SUCCESS


class TestMultiple:
    """Sections 7.3.17 and 7.3.18."""

    def install(self, guest, handle, *given):
        at = guest.put(handle)
        return guest.call("InstallMultipleProtocolInterfaces", at, *pairs(guest, *given)), guest.u64(at)

    def uninstall(self, guest, handle, *given):
        return guest.call("UninstallMultipleProtocolInterfaces", handle, *pairs(guest, *given))

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
    def test_as_many_as_there_are(self, guest, count):
        given = [(Guid(int=100 + each), each) for each in range(count)]
        status, handle = self.install(guest, 0, *given)
        assert status == Status.SUCCESS
        assert bool(handle) == bool(count)
        for guid, interface in given:
            assert guest.firmware.handles.get(handle, guid).interface == interface
        if count:
            assert self.uninstall(guest, handle, *given) == Status.SUCCESS
            assert handle not in guest.firmware.handles

    def test_on_a_handle_that_is_there(self, guest):
        handle = new(guest)
        assert self.install(guest, handle, (B, 1)) == (Status.SUCCESS, handle)
        assert self.install(guest, 0xBAD, (B, 1))[0] == Status.INVALID_PARAMETER
        assert guest.call("InstallMultipleProtocolInterfaces", 0, 0) == Status.INVALID_PARAMETER

    def test_all_or_nothing(self, guest):
        handle = new(guest)
        assert self.install(guest, handle, (B, 1), (A, 2))[0] == Status.INVALID_PARAMETER
        assert has(guest, handle, A, B) == [True, False]
        handles = list(guest.firmware.handles)
        assert self.install(guest, 0, (B, 1), (C, 2), (B, 3)) == (Status.INVALID_PARAMETER, 0)
        assert list(guest.firmware.handles) == handles

    def test_a_list_without_an_end(self, guest):
        given = [(Guid(int=1000 + each % 9), 1) for each in range(80)]
        assert self.install(guest, 0, *given)[0] == Status.INVALID_PARAMETER
        assert handles_of(guest, Guid(int=1000)) == []

    def test_the_same_device_path_twice(self, guest):
        path, other = vendor_media(A) + END, vendor_media(A) + file_path("x") + END
        assert self.install(guest, 0, (DEVICE_PATH, guest.put(path)))[0] == Status.SUCCESS
        copy = guest.put(path)
        assert self.install(guest, 0, (B, 1), (DEVICE_PATH, copy))[0] == Status.ALREADY_STARTED
        assert handles_of(guest, B) == []
        # One that is longer is another.
        assert self.install(guest, 0, (DEVICE_PATH, guest.put(other)))[0] == Status.SUCCESS

    def test_a_device_path_that_is_none(self, guest):
        assert self.install(guest, 0, (DEVICE_PATH, 0))[0] == Status.SUCCESS
        broken = new(guest, A)
        install(guest, broken, DEVICE_PATH, guest.put(bytes(16)))
        assert self.install(guest, 0, (DEVICE_PATH, guest.put(vendor_media(A) + END)))[0] == Status.SUCCESS
        assert self.install(guest, 0, (DEVICE_PATH, guest.put(bytes(16))))[0] == Status.INVALID_PARAMETER

    @pytest.mark.parametrize(
        "wrong",
        [[(A, 0xF00), (C, 0xF00)], [(A, 0xF00), (B, 0xBAD)], [(A, 0xF00), (A, 0xF00)], [(C, 1), (A, 0xF00)]],
    )
    @pytest.mark.parametrize("protocols", [(A, B), (A,)])
    def test_a_failed_uninstall_leaves_everything(self, guest, protocols, wrong):
        handle = new(guest, *protocols)
        guest.call("OpenProtocol", handle, guest.put(A), guest.room(), guest.payload, 0, GET)
        assert self.uninstall(guest, handle, *wrong) == Status.INVALID_PARAMETER
        assert has(guest, handle, *protocols) == [True] * len(protocols)
        assert guest.firmware.handles.openings(handle, A)[0].agent == guest.payload

    def test_what_is_in_use_is_not_uninstalled(self, guest):
        handle = new(guest, A, B)
        guest.call("OpenProtocol", handle, guest.put(B), guest.room(), guest.payload, handle, DRIVER)
        assert self.uninstall(guest, handle, (A, 0xF00), (B, 0xF00)) == Status.INVALID_PARAMETER
        assert has(guest, handle, A, B) == [True, True]

    def test_no_handle(self, guest):
        assert self.uninstall(guest, 0xBAD, (A, 0xF00)) == Status.INVALID_PARAMETER
        assert self.uninstall(guest, 0) == Status.INVALID_PARAMETER


class TestOpening:
    """Sections 7.3.7 and 7.3.9 to 7.3.11."""

    def information(self, guest, handle, guid):
        buffer, count = guest.room(), guest.room()
        assert guest.call("OpenProtocolInformation", handle, guest.put(guid), buffer, count) == Status.SUCCESS
        data = guest.bytes_at(guest.u64(buffer), 24 * guest.u64(count))
        assert guest.call("FreePool", guest.u64(buffer)) == Status.SUCCESS
        return list(struct.iter_unpack("<QQII", data))

    def test_handle_protocol(self, guest):
        handle, out = new(guest), guest.room()
        # A stub takes any other answer than UNSUPPORTED to mean something else.
        assert guest.call("HandleProtocol", handle, guest.put(B), out) == Status.UNSUPPORTED
        assert guest.u64(out) == 0
        guest.memory.write(out, b"\xa5" * 8)
        assert guest.call("HandleProtocol", 0, guest.put(A), out) == Status.INVALID_PARAMETER
        assert guest.call("HandleProtocol", handle, 0, out) == Status.INVALID_PARAMETER
        assert guest.call("HandleProtocol", handle, guest.put(A), 0) == Status.INVALID_PARAMETER
        for _ in range(5):
            guest.call("HandleProtocol", handle, guest.put(A), out)
        assert self.information(guest, handle, A) == [(guest.payload, 0, 1, 5)]

    def test_the_interface(self, guest):
        handle, out = new(guest), guest.room()
        arguments = handle, guest.put(A)
        assert guest.call("OpenProtocol", *arguments, out, guest.payload, 0, GET) == Status.SUCCESS
        assert guest.u64(out) == 0xF00
        assert guest.call("OpenProtocol", *arguments, 0, guest.payload, 0, GET) == Status.INVALID_PARAMETER
        assert guest.call("OpenProtocol", *arguments, 0, 0, 0, TEST) == Status.SUCCESS
        guest.memory.write(out, b"\xa5" * 8)
        assert guest.call("OpenProtocol", *arguments, out, 0, 0, TEST) == Status.SUCCESS
        assert guest.u64(out) == 0xA5A5_A5A5_A5A5_A5A5
        assert guest.call("OpenProtocol", handle, guest.put(B), out, guest.payload, 0, TEST) == Status.UNSUPPORTED
        assert guest.call("OpenProtocol", handle, guest.put(B), out, guest.payload, 0, GET) == Status.UNSUPPORTED
        assert guest.u64(out) == 0
        assert guest.call("OpenProtocol", 0, guest.put(A), out, guest.payload, 0, GET) == Status.INVALID_PARAMETER
        assert guest.call("OpenProtocol", *arguments, out, guest.payload, 0, 0x99) == Status.INVALID_PARAMETER

    def test_drivers(self, guest):
        handle, agent, out = new(guest), new(guest, B), guest.room()
        arguments = handle, guest.put(A), out
        assert guest.call("OpenProtocol", *arguments, agent, handle, DRIVER) == Status.SUCCESS
        assert guest.call("OpenProtocol", *arguments, agent, handle, DRIVER) == Status.ALREADY_STARTED
        assert guest.call("OpenProtocol", *arguments, guest.payload, handle, DRIVER) == Status.ACCESS_DENIED
        assert guest.call("OpenProtocol", *arguments, guest.payload, handle, EXCLUSIVE) == Status.ACCESS_DENIED
        assert guest.call("OpenProtocol", *arguments, 0, handle, DRIVER) == Status.INVALID_PARAMETER
        assert self.information(guest, handle, A) == [(agent, handle, DRIVER, 1)]

    def test_closing(self, guest):
        handle, guid = new(guest), guest.put(A)
        guest.call("OpenProtocol", handle, guid, guest.room(), guest.payload, 0, GET)
        assert guest.call("CloseProtocol", handle, guid, guest.payload, handle) == Status.NOT_FOUND
        assert guest.call("CloseProtocol", handle, guest.put(B), guest.payload, 0) == Status.NOT_FOUND
        assert guest.call("CloseProtocol", 0, guid, guest.payload, 0) == Status.INVALID_PARAMETER
        assert guest.call("CloseProtocol", handle, 0, guest.payload, 0) == Status.INVALID_PARAMETER
        assert guest.call("CloseProtocol", handle, guid, 0, 0) == Status.INVALID_PARAMETER
        assert guest.call("CloseProtocol", handle, guid, guest.payload, 0xBAD) == Status.INVALID_PARAMETER
        assert guest.call("CloseProtocol", handle, guid, guest.payload, 0) == Status.SUCCESS
        assert guest.call("CloseProtocol", handle, guid, guest.payload, 0) == Status.NOT_FOUND

    def test_information(self, guest):
        handle = new(guest)
        assert self.information(guest, handle, A) == []
        arguments = guest.room(), guest.room()
        assert guest.call("OpenProtocolInformation", handle, guest.put(B), *arguments) == Status.NOT_FOUND
        assert guest.call("OpenProtocolInformation", 0xBAD, guest.put(A), *arguments) == Status.NOT_FOUND
        assert guest.call("OpenProtocolInformation", handle, guest.put(A), 0, arguments[1]) == Status.INVALID_PARAMETER

    def test_protocols_of_a_handle(self, guest):
        handle, buffer, count = new(guest, A, B), guest.room(), guest.room()
        for _ in range(2):
            assert guest.call("ProtocolsPerHandle", handle, buffer, count) == Status.SUCCESS
            assert guest.u64(count) == 2
            found = [guest.bytes_at(guest.u64(guest.u64(buffer) + 8 * i), 16) for i in range(2)]
            assert found == [A.bytes_le, B.bytes_le]
            assert guest.call("FreePool", guest.u64(buffer)) == Status.SUCCESS
        for wrong in ((0, buffer, count), (0xBAD, buffer, count), (handle, 0, count), (handle, buffer, 0)):
            assert guest.call("ProtocolsPerHandle", *wrong) == Status.INVALID_PARAMETER


class TestLocating:
    """Sections 7.3.6, 7.3.15 and 7.3.16."""

    def test_handles(self, guest):
        assert handles_of(guest, A) == []
        first, second = new(guest), new(guest, B, A)
        assert handles_of(guest, A) == [first, second]

    def test_a_buffer_that_is_too_small(self, guest):
        found = [new(guest) for _ in range(3)]
        size, buffer, guid = guest.put(23), guest.room(24), guest.put(A)
        assert guest.call("LocateHandle", BY_PROTOCOL, guid, 0, size, buffer) == Status.BUFFER_TOO_SMALL
        assert guest.u64(size) == 24
        assert guest.bytes_at(buffer, 24) == b"\xa5" * 24
        assert guest.call("LocateHandle", BY_PROTOCOL, guid, 0, size, 0) == Status.INVALID_PARAMETER
        assert guest.call("LocateHandle", BY_PROTOCOL, guid, 0, size, buffer) == Status.SUCCESS
        assert struct.unpack("<3Q", guest.bytes_at(buffer, 24)) == tuple(found)

    def test_all_handles(self, guest):
        size, buffer = guest.put(0x400), guest.room(0x400)
        assert guest.call("LocateHandle", ALL, 0, 0, size, buffer) == Status.SUCCESS
        assert guest.u64(size) == 8 * len(list(guest.firmware.handles))
        huge = guest.put((1 << 64) - 1)
        assert guest.call("LocateHandle", ALL, 0, 0, huge, buffer) == Status.SUCCESS

    def test_what_makes_no_sense(self, guest):
        size, buffer, guid = guest.put(8), guest.room(), guest.put(A)
        for wrong in (
            (BY_PROTOCOL, 0, 0, size, buffer),
            (NOTIFIED, 0, 0, size, buffer),
            (NOTIFIED, 0, 0xBAD, size, buffer),
            (BY_PROTOCOL, guid, 0, 0, buffer),
            (3, guid, 0, size, buffer),
        ):
            assert guest.call("LocateHandle", *wrong) == Status.INVALID_PARAMETER

    def test_a_buffer_of_the_firmwares(self, guest):
        count, buffer = guest.room(), guest.room()
        assert guest.call("LocateHandleBuffer", BY_PROTOCOL, guest.put(A), 0, count, buffer) == Status.NOT_FOUND
        assert (guest.u64(count), guest.u64(buffer)) == (0, 0)
        found = [new(guest) for _ in range(2)]
        assert guest.call("LocateHandleBuffer", BY_PROTOCOL, guest.put(A), 0, count, buffer) == Status.SUCCESS
        assert guest.u64(count) == 2
        assert struct.unpack("<2Q", guest.bytes_at(guest.u64(buffer), 16)) == tuple(found)
        assert guest.call("FreePool", guest.u64(buffer)) == Status.SUCCESS
        for wrong in ((BY_PROTOCOL, 0, 0), (NOTIFIED, 0, 0), (9, 0, 0)):
            assert guest.call("LocateHandleBuffer", *wrong, count, buffer) == Status.INVALID_PARAMETER
        assert guest.call("LocateHandleBuffer", ALL, 0, 0, 0, buffer) == Status.INVALID_PARAMETER
        assert guest.call("LocateHandleBuffer", ALL, 0, 0, count, 0) == Status.INVALID_PARAMETER

    def test_the_first_interface(self, guest):
        out = guest.room()
        # Stubs test the pointer, not the status.
        assert guest.call("LocateProtocol", guest.put(A), 0, out) == Status.NOT_FOUND
        assert guest.u64(out) == 0
        install(guest, 0, A, 0x111)
        install(guest, 0, A, 0x222)
        assert guest.protocol(A) == 0x111
        assert guest.call("LocateProtocol", 0, 0, out) == Status.INVALID_PARAMETER
        assert guest.call("LocateProtocol", guest.put(A), 0, 0) == Status.INVALID_PARAMETER


class TestNotification:
    """Section 7.3.5."""

    def register(self, guest, ran):
        event = guest.event(NOTIFY_SIGNAL, CALLBACK, lambda *_: ran.append(1))
        key = guest.room()
        assert guest.call("RegisterProtocolNotify", guest.put(A), event, key) == Status.SUCCESS
        return event, guest.u64(key)

    def located(self, guest, key, size=8):
        at, buffer = guest.put(size), guest.room()
        status = guest.call("LocateHandle", NOTIFIED, 0, key, at, buffer)
        return status, guest.u64(buffer) if status == Status.SUCCESS else guest.u64(at)

    def test_once_for_each_installation(self, guest):
        ran = []
        old = new(guest)
        _, key = self.register(guest, ran)
        assert self.located(guest, key)[0] == Status.NOT_FOUND
        first = new(guest)
        assert len(ran) == 1
        new(guest, B)
        assert len(ran) == 1
        second = new(guest)
        assert len(ran) == 2
        guest.call("ReinstallProtocolInterface", old, guest.put(A), 0xF00, 1)
        assert len(ran) == 3
        assert [self.located(guest, key) for _ in range(3)] == [(0, first), (0, second), (0, old)]
        assert self.located(guest, key)[0] == Status.NOT_FOUND

    def test_a_handle_that_was_not_taken_stays_new(self, guest):
        _, key = self.register(guest, [])
        handle = new(guest)
        assert self.located(guest, key, 0) == (Status.BUFFER_TOO_SMALL, 8)
        size = guest.put(8)
        assert guest.call("LocateHandle", NOTIFIED, 0, key, size, 0) == Status.INVALID_PARAMETER
        assert self.located(guest, key) == (Status.SUCCESS, handle)

    def test_the_interface_of_a_new_handle(self, guest):
        _, key = self.register(guest, [])
        install(guest, 0, A, 0x123)
        out = guest.room()
        assert guest.call("LocateProtocol", guest.put(B), key, out) == Status.SUCCESS
        assert guest.u64(out) == 0x123
        assert guest.call("LocateProtocol", guest.put(B), key, out) == Status.NOT_FOUND
        assert guest.u64(out) == 0
        assert guest.call("LocateProtocol", guest.put(B), 0xBAD, out) == Status.NOT_FOUND

    def test_a_buffer_of_the_firmwares(self, guest):
        _, key = self.register(guest, [])
        handle, count, buffer = new(guest), guest.room(), guest.room()
        assert guest.call("LocateHandleBuffer", NOTIFIED, 0, key, count, buffer) == Status.SUCCESS
        assert (guest.u64(count), guest.u64(guest.u64(buffer))) == (1, handle)
        assert guest.call("LocateHandleBuffer", NOTIFIED, 0, key, count, buffer) == Status.NOT_FOUND

    def test_it_ends_with_the_event(self, guest):
        ran = []
        event, key = self.register(guest, ran)
        guest.call("CloseEvent", event)
        new(guest)
        assert ran == []
        assert self.located(guest, key)[0] == Status.INVALID_PARAMETER

    def test_what_makes_no_sense(self, guest):
        event, out = guest.event(), guest.room()
        assert guest.call("RegisterProtocolNotify", guest.put(A), 0, out) == Status.INVALID_PARAMETER
        assert guest.call("RegisterProtocolNotify", 0, event, out) == Status.INVALID_PARAMETER
        assert guest.call("RegisterProtocolNotify", guest.put(A), event, 0) == Status.INVALID_PARAMETER


class TestDevicePaths:
    """Section 7.3.8."""

    def locate(self, guest, guid, path):
        start = guest.put(path)
        at, out = guest.put(start), guest.put(0x77)
        status = guest.call("LocateDevicePath", guest.put(guid), at, out)
        return status, guest.u64(out), guest.u64(at) - start

    def device(self, guest, path, *protocols):
        handle = new(guest, *protocols)
        assert install(guest, handle, DEVICE_PATH, guest.put(path))[0] == Status.SUCCESS
        return handle

    def test_the_longest_start_wins(self, guest):
        short, long = vendor_hardware(A), vendor_hardware(A) + vendor_media(B)
        first, second = self.device(guest, short + END, A), self.device(guest, long + END, A)
        other = self.device(guest, long + file_path("x") + END, B)
        rest = file_path("x") + END
        assert self.locate(guest, A, long + rest) == (Status.SUCCESS, second, len(long))
        assert self.locate(guest, B, long + rest) == (Status.SUCCESS, other, len(long + rest) - 4)
        assert self.locate(guest, A, long + END) == (Status.SUCCESS, second, len(long))
        assert self.locate(guest, A, short + rest) == (Status.SUCCESS, first, len(short))

    def test_no_handle_fits(self, guest):
        self.device(guest, vendor_hardware(A) + END, A)
        for guid, path in ((A, vendor_hardware(B) + END), (NOWHERE, vendor_hardware(A) + END), (A, END)):
            assert self.locate(guest, guid, path) == (Status.NOT_FOUND, 0x77, 0)

    def test_only_the_first_instance_counts(self, guest):
        handle = self.device(guest, vendor_hardware(A) + END, A)
        path = vendor_hardware(A) + b"\x7f\1\4\0" + vendor_hardware(B) + END
        assert self.locate(guest, A, path) == (Status.SUCCESS, handle, 20)

    def test_handles_whose_path_is_none(self, guest):
        install(guest, new(guest), DEVICE_PATH, 0)
        self.device(guest, bytes(32), A)
        assert self.locate(guest, A, vendor_hardware(A) + END)[0] == Status.NOT_FOUND
        handle = self.device(guest, vendor_hardware(A) + END, A)
        assert self.locate(guest, A, vendor_hardware(A) + END)[:2] == (Status.SUCCESS, handle)

    def test_what_makes_no_sense(self, guest):
        path, out = guest.put(guest.put(vendor_hardware(A) + END)), guest.room()
        assert self.locate(guest, A, bytes(8))[0] == Status.INVALID_PARAMETER
        assert guest.call("LocateDevicePath", 0, path, out) == Status.INVALID_PARAMETER
        assert guest.call("LocateDevicePath", guest.put(A), 0, out) == Status.INVALID_PARAMETER
        assert guest.call("LocateDevicePath", guest.put(A), guest.put(0), out) == Status.INVALID_PARAMETER
        # Without a place for the answer it only matters if there is one.
        assert guest.call("LocateDevicePath", guest.put(A), path, 0) == Status.NOT_FOUND
        self.device(guest, vendor_hardware(A) + END, A)
        assert guest.call("LocateDevicePath", guest.put(A), path, 0) == Status.INVALID_PARAMETER


class TestControllers:
    """Sections 7.3.12 and 7.3.13."""

    def test_nothing_to_connect(self, guest):
        handle = new(guest)
        assert guest.call("ConnectController", handle, 0, 0, 1) == Status.NOT_FOUND
        assert guest.call("ConnectController", 0xBAD, 0, 0, 1) == Status.INVALID_PARAMETER
        assert guest.call("DisconnectController", handle, 0, 0) == Status.SUCCESS
        for wrong in ((0xBAD, 0, 0), (handle, 0xBAD, 0), (handle, 0, 0xBAD), (handle, guest.payload, 0)):
            assert guest.call("DisconnectController", *wrong) == Status.INVALID_PARAMETER


def test_no_handle_leaks(guest):
    before = list(guest.firmware.handles)
    at = guest.put(0)
    guest.call("InstallMultipleProtocolInterfaces", at, *pairs(guest, (A, 1), (B, 2)))
    guest.call("UninstallMultipleProtocolInterfaces", guest.u64(at), *pairs(guest, (A, 1), (B, 2)))
    assert list(guest.firmware.handles) == before


def test_a_list_that_ends_with_memory(guest, specification):
    # The NULL is the last word that there is: what would follow it is never read.
    stack = specification.base + specification.size - 0x38
    guest.memory.write(stack + 0x28, struct.pack("<QQ", 0x222, 0))
    handle = guest.put(0)
    guest.cpu.registers.update(rsp=stack, rcx=handle, rdx=guest.put(A), r8=0x111, r9=guest.put(B))
    guest.firmware.dispatcher.enter(guest.services["InstallMultipleProtocolInterfaces"])
    assert guest.cpu.registers["rax"] == Status.SUCCESS
    assert guest.firmware.handles.get(guest.u64(handle), B).interface == 0x222


def test_loaded_image_is_on_the_images_handle(guest):
    assert has(guest, guest.payload, LOADED_IMAGE) == [True]
