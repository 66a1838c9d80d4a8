"""Drivers of the guest's own: asked, started, stopped, and made to stop for somebody else."""

import struct
from dataclasses import dataclass, field

import pytest

from efi_services.device_path import END
from efi_services.dispatch import RunEnds
from efi_services.drivers import MAX_DRIVERS
from efi_services.guids import DRIVER_BINDING, Guid
from efi_services.handles import BY_CHILD_CONTROLLER, BY_DRIVER, EXCLUSIVE, GET_PROTOCOL
from efi_services.status import Status

BUS, CHILD = (Guid(f"4d2e0f0a-1f37-4a59-8f0e-0d6c5b1a9e0{n}") for n in (1, 2))


@pytest.fixture(autouse=True)
def _running(guest):
    guest.start()


def install(guest, protocol, interface, handle=0):
    at = guest.put(handle)
    assert guest.call("InstallProtocolInterface", at, guest.put(protocol), 0, interface) == Status.SUCCESS
    return guest.u64(at)


@dataclass
class Driver:
    """Manages what has the protocol *of*; *children* are made at the start."""

    guest: object
    of: Guid = BUS
    version: int = 0x10
    wanted: int = 0
    stops: bool = True
    children: list = field(default_factory=list)
    journal: list = field(default_factory=list)

    def __post_init__(self):
        guest = self.guest
        functions = [guest.function(each) for each in (self.supported, self.start, self.stop)]
        self.at = guest.put(struct.pack("<QQQI4xQQ", *functions, self.version, guest.payload, 0))
        self.handle = install(guest, DRIVER_BINDING, self.at)

    def open(self, controller, attributes, child=None):
        found, protocol = self.guest.room(), self.guest.put(self.of)
        agents = self.handle, child or controller
        return self.guest.call("OpenProtocol", controller, protocol, found, *agents, attributes)

    def close(self, controller, child=None):
        agents = self.handle, child or controller
        assert self.guest.call("CloseProtocol", controller, self.guest.put(self.of), *agents) == Status.SUCCESS

    def supported(self, this, controller, _remaining, _):
        assert this == self.at
        status = self.open(controller, BY_DRIVER)
        if status == Status.SUCCESS:
            self.close(controller)
        return status

    def start(self, _this, controller, _remaining, _):
        self.journal.append(("start", controller))
        status = self.open(controller, BY_DRIVER)
        for n in range(self.wanted):
            self.children.append(install(self.guest, CHILD, n + 1))
            assert self.open(controller, BY_CHILD_CONTROLLER, self.children[-1]) == Status.SUCCESS
        return status

    def stop(self, _this, controller, count, at):
        stopped = list(struct.unpack(f"<{count}Q", self.guest.bytes_at(at, 8 * count))) if count else []
        self.journal.append(("stop", controller, stopped))
        if not self.stops:
            return Status.DEVICE_ERROR
        for child in stopped:
            self.close(controller, child)
        if not count:
            self.close(controller)
        return Status.SUCCESS


def connect(guest, controller, images=0, remaining=0, recursive=0):
    return guest.call("ConnectController", controller, images, remaining, recursive)


def disconnect(guest, controller, driver=0, child=0):
    return guest.call("DisconnectController", controller, driver, child)


def test_a_driver_starts_once_and_stops(guest):
    driver, bus = Driver(guest), install(guest, BUS, 1)
    assert connect(guest, bus) == Status.SUCCESS
    assert connect(guest, bus) == Status.NOT_FOUND
    assert guest.firmware.handles.managers(bus) == [driver.handle]
    assert disconnect(guest, bus) == Status.SUCCESS
    assert disconnect(guest, bus) == Status.SUCCESS
    assert driver.journal == [("start", bus), ("stop", bus, [])]
    assert guest.firmware.handles.managers(bus) == []


def test_the_higher_version_comes_first_and_the_named_one_before_it(guest):
    old, new = Driver(guest), Driver(guest, version=0x20)
    bus = install(guest, BUS, 1)
    assert connect(guest, bus) == Status.SUCCESS
    assert (len(old.journal), len(new.journal)) == (0, 1)
    assert disconnect(guest, bus) == Status.SUCCESS
    assert connect(guest, bus, guest.put(struct.pack("<QQ", old.handle, 0))) == Status.SUCCESS
    assert old.journal == [("start", bus)]
    assert connect(guest, bus, guest.put(struct.pack("<QQ", 0xBAD, 0))) == Status.INVALID_PARAMETER


def test_children_are_connected_when_asked_for(guest):
    driver, of_children, bus = Driver(guest, wanted=2), Driver(guest, CHILD), install(guest, BUS, 1)
    assert connect(guest, bus) == Status.SUCCESS
    assert of_children.journal == []
    assert connect(guest, bus, recursive=1) == Status.NOT_FOUND
    assert of_children.journal == [("start", each) for each in driver.children]


def test_a_bus_driver_that_is_to_make_no_child(guest):
    bus = install(guest, BUS, 1)
    assert connect(guest, bus, remaining=guest.put(END)) == Status.SUCCESS
    assert connect(guest, bus, remaining=guest.put(b"\1\4\4\0" + END)) == Status.NOT_FOUND


def test_children_stop_before_their_bus(guest):
    driver, bus = Driver(guest, wanted=2), install(guest, BUS, 1)
    connect(guest, bus)
    first, second = driver.children
    assert disconnect(guest, bus, driver.handle, first) == Status.SUCCESS
    assert driver.journal[1:] == [("stop", bus, [first])]
    assert disconnect(guest, bus, driver.handle, first) == Status.SUCCESS
    assert disconnect(guest, bus, 0, second) == Status.SUCCESS
    assert driver.journal[2:] == [("stop", bus, [second]), ("stop", bus, [])]


def test_all_children_stop_at_once(guest):
    driver, bus = Driver(guest, wanted=2), install(guest, BUS, 1)
    connect(guest, bus)
    assert disconnect(guest, bus) == Status.SUCCESS
    assert driver.journal[1:] == [("stop", bus, driver.children), ("stop", bus, [])]


def test_another_driver_than_the_one_that_manages(guest):
    driver, idle, bus = Driver(guest, version=0x20), Driver(guest), install(guest, BUS, 1)
    connect(guest, bus)
    assert disconnect(guest, bus, idle.handle) == Status.SUCCESS
    assert disconnect(guest, bus, guest.payload) == Status.INVALID_PARAMETER
    assert driver.journal == [("start", bus)]


def test_a_driver_that_does_not_stop(guest):
    driver, bus = Driver(guest, stops=False), install(guest, BUS, 1)
    connect(guest, bus)
    assert disconnect(guest, bus) == Status.DEVICE_ERROR
    uninstall = "UninstallProtocolInterface", bus, guest.put(BUS), 1
    assert guest.call(*uninstall) == Status.ACCESS_DENIED
    assert guest.call("UninstallMultipleProtocolInterfaces", *uninstall[1:], 0) == Status.INVALID_PARAMETER
    assert guest.call("ReinstallProtocolInterface", *uninstall[1:], 2) == Status.ACCESS_DENIED
    assert guest.firmware.handles.managers(bus) == [driver.handle]


@pytest.mark.parametrize("service", ["UninstallProtocolInterface", "UninstallMultipleProtocolInterfaces"])
def test_a_driver_stops_for_what_is_uninstalled(guest, service):
    driver, bus = Driver(guest), install(guest, BUS, 1)
    connect(guest, bus)
    assert guest.call(service, bus, guest.put(BUS), 1, 0) == Status.SUCCESS
    assert driver.journal[1:] == [("stop", bus, [])]
    assert bus not in guest.firmware.handles


def test_a_driver_stops_for_what_is_reinstalled_and_starts_again(guest):
    driver, bus = Driver(guest), install(guest, BUS, 1)
    connect(guest, bus)
    assert guest.call("ReinstallProtocolInterface", bus, guest.put(BUS), 1, 2) == Status.SUCCESS
    assert driver.journal[1:] == [("stop", bus, []), ("start", bus)]


def test_a_driver_stops_for_who_wants_a_protocol_alone(guest):
    driver, bus = Driver(guest), install(guest, BUS, 1)
    connect(guest, bus)
    found = guest.room()
    wanted = "OpenProtocol", bus, guest.put(BUS), found, guest.payload, 0
    assert guest.call(*wanted, GET_PROTOCOL) == Status.SUCCESS
    assert guest.call(*wanted, EXCLUSIVE) == Status.SUCCESS
    assert guest.u64(found) == 1
    assert driver.journal[1:] == [("stop", bus, [])]
    assert guest.call("OpenProtocol", bus, guest.put(BUS), found, bus, 0, EXCLUSIVE) == Status.ACCESS_DENIED


def test_a_driver_that_has_it_alone_does_not_make_way(guest):
    driver, bus = Driver(guest), install(guest, BUS, 1)
    assert driver.open(bus, BY_DRIVER | EXCLUSIVE) == Status.SUCCESS
    wanted = "OpenProtocol", bus, guest.put(BUS), guest.room(), guest.payload, 0
    assert guest.call(*wanted, EXCLUSIVE) == Status.ACCESS_DENIED
    assert driver.journal == []


def test_a_driver_without_an_interface_is_none(guest):
    bus, nobody = install(guest, BUS, 1), install(guest, DRIVER_BINDING, 0)
    assert connect(guest, bus) == Status.NOT_FOUND
    assert disconnect(guest, bus, nobody) == Status.INVALID_PARAMETER


def test_a_driver_that_connects_what_it_is_asked_about_comes_to_an_end(guest):
    bus = install(guest, BUS, 1)
    ask = guest.function(lambda *_: connect(guest, bus))
    install(guest, DRIVER_BINDING, guest.put(struct.pack("<QQQI4xQQ", ask, ask, ask, 1, guest.payload, 0)))
    with pytest.raises(RunEnds, match="nested"):
        connect(guest, bus)


def test_children_that_are_each_others(guest):
    driver, first, second = Driver(guest), install(guest, BUS, 1), install(guest, BUS, 2)
    assert driver.open(first, BY_CHILD_CONTROLLER, second) == Status.SUCCESS
    assert driver.open(second, BY_CHILD_CONTROLLER, first) == Status.SUCCESS
    assert connect(guest, first, recursive=1) == Status.SUCCESS
    assert driver.journal == [("start", first), ("start", second)]


def test_a_list_of_drivers_without_an_end(guest):
    bus = install(guest, BUS, 1)
    assert connect(guest, bus, guest.put(struct.pack("<Q", bus) * (MAX_DRIVERS + 1))) == Status.INVALID_PARAMETER
