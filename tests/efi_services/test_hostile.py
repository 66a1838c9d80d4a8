"""A payload that means harm: whatever it passes, it gets a status or the run ends; nothing else comes out."""

import random  # noqa: TID251 - seeded, so that each run sees the same
import time

import pytest

from efi_services import tables
from efi_services.dispatch import MAX_DEPTH, RunEnds
from efi_services.framebuffer import Resolution
from efi_services.guids import GLOBAL_VARIABLE
from efi_services.platform import Graphics
from efi_services.service import PROTOCOLS, Service
from efi_services.status import Status
from efi_services.types import Enumeration

LAST = (1 << 64) - 1
SERVICES = [each for each in (*tables.BOOT_SERVICES, *tables.RUNTIME_SERVICES) if each is not None]
NAMES = [each.name for each in SERVICES]
#: The guest's machine is none of RISC-V, and launches nothing: tests/shim/session/test_launched.py does.
METHODS = [
    slot
    for name, each in PROTOCOLS.items()
    for slot in each.slots
    if isinstance(slot, Service) and name != "RISCV_EFI_BOOT_PROTOCOL" and not each.outlives
]
#: What has to end the run.
ENDS = {"ResetSystem", "Exit"}
#: Seconds of the host that one call may take.
PATIENCE = 2

NUMBERS = [0, 1, 2, 3, 4, 7, 8, 10, 16, 0x20, 0x30, 48, 0x100, 0x200, 0x201, 4096, 1 << 16, 1 << 20, 1 << 31, 1 << 32]
NUMBERS += [1 << 40, 1 << 52, 1 << 63, LAST - 7, LAST, 0x8000_0000, 0x8000_0200]
SMALL = [0, 1, 2, 3, 4, 8, 16, 48, 64]
HANDLES = ["payload", "driver", "handle", "event", "timer", "notify", "polled", "key"]
#: Places by name: what they are is known when there is a guest.
PLACES = [
    *HANDLES, "pool", "pages", "system", "boot", "first", "last", "behind", "text", "guid", "path", "number", "gate",
    "function", "interface", "image", "events", "array",
    "file",
]  # fmt: skip


class Malice:
    """Arguments from a seed: mostly of the right kind, since a wild pointer ends a call before more can go wrong."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def anything(self):
        choose = self.random
        match choose.randrange(4):
            case 0:
                return choose.choice(PLACES)
            case 1:
                return choose.choice(PLACES), choose.randint(-16, 16)
            case 2:
                return choose.choice(NUMBERS)
            case _:
                return choose.getrandbits(64)

    def value(self, parameter):
        choose = self.random
        if choose.random() < 0.15:
            return self.anything()
        if parameter.role != "value":
            return choose.choice(PLACES)
        if isinstance(parameter.codec, Enumeration):
            return int(choose.choice(list(parameter.codec.type)))
        if parameter.codec.kind == "address":
            return choose.choice(HANDLES)
        return choose.choice(SMALL) if choose.random() < 0.6 else choose.choice(NUMBERS)

    def arguments(self, service):
        """For a call of *service*, and what else lies in registers and on the stack."""
        return [*map(self.value, service.parameters), self.anything(), self.anything()]


class Places:
    """A guest in the middle of its life, and what it may point at."""

    def __init__(self, guest, specification):
        guest.start()
        self.guest = guest
        end = specification.base + specification.size
        pool, pages, key = guest.room(), guest.put(0), guest.room()
        guest.call("AllocatePool", 2, 64, pool)
        guest.call("AllocatePages", 0, 2, 4, pages)
        event = guest.event()
        timer = guest.event(0x8000_0000)
        guest.call("SetTimer", timer, 1, 1)
        guest.call("RegisterProtocolNotify", guest.put(b"g" * 16), event, key)
        guid = guest.put(GLOBAL_VARIABLE)
        image = guest.image(name="any")
        driver = guest.load(lambda *_: 0, name="driver", subsystem=11)
        guest.call("StartImage", driver, 0, 0)
        self.known = {
            "payload": guest.payload,
            "event": event,
            "timer": timer,
            "notify": guest.event(0x200, 8, lambda *_: 0),
            "polled": guest.event(0x100, 8, lambda event, *_: guest.call("SignalEvent", event)),
            "pool": guest.u64(pool),
            "pages": guest.u64(pages),
            "system": guest.firmware.system_table,
            "boot": guest.boot_table,
            "first": specification.base,
            "last": end - 8,
            "behind": end,
            "text": guest.put("SecureBoot"),
            "file": guest.put("initrd.img"),
            "guid": guid,
            "path": guest.put(b"\4\4\6\0a\0\x7f\xff\4\0"),
            "number": guest.put(64),
            "gate": guest.services["Stall"],
            "function": guest.function(lambda *_: 0),
            "handle": next(iter(guest.firmware.handles)),
            "interface": next(iter(guest.firmware.interfaces)),
            "image": guest.put(image.file),
            "driver": driver,
            "key": guest.u64(key),
            "array": guest.put(event),
            "events": guest.put(b"".join(each.to_bytes(8, "little") for each in (event, timer, guest.payload))),
        }

    def value(self, given):
        if isinstance(given, int):
            return given
        if isinstance(given, tuple):
            return self.known[given[0]] + given[1] & LAST
        return self.known[given]

    def interface(self, protocol):
        """An instance of the protocol; of a file, the root is opened where none is open."""
        interfaces = self.guest.firmware.interfaces
        mine = next((at for at, each in interfaces.items() if each.protocol.name == protocol), None)
        if mine is not None:
            return mine
        volume = "EFI_SIMPLE_FILE_SYSTEM_PROTOCOL"
        assert self.guest.method(volume, "OpenVolume", self.interface(volume), self.known["number"]) == 0
        return self.interface(protocol)

    def call(self, service, given):
        """Make the call; only the end of the run may come out. Gives whether it has ended."""
        guest = self.guest
        arguments = [self.value(each) for each in given]
        began = time.process_time()
        try:
            if service.protocol and not service.has_this:
                interface = self.interface(service.protocol)
                guest.function_of(service.protocol, service.name, interface, *arguments)
            elif service.protocol:
                guest.method(service.protocol, service.name, self.interface(service.protocol), *arguments)
            else:
                guest.call(service.name, *arguments)
        except RunEnds:
            guest.firmware.dispatcher.abandon()
            return True
        finally:
            assert time.process_time() - began < PATIENCE
        return False


def play(places, service, given):
    """Call, and let the function addresses that a guest made up lead nowhere."""
    try:
        return places.call(service, given)
    except AssertionError as wrong:
        # The guest asked for a function to be called where there is none: the CPU would fault there.
        if "where nothing is" in str(wrong):
            return True
        raise


@pytest.fixture
def machine(measuring, fakes):
    """A platform that has all there is."""
    return {
        "initrd": b"initrd", "trees": [fakes.Tree(fakes.files)], "disks": [fakes.Device()],
        "graphics": Graphics((Resolution(16, 8), Resolution(8, 16))), **measuring,
    }  # fmt: skip


@pytest.mark.parametrize("service", [*SERVICES, *METHODS], ids=lambda each: each.name)
def test_any_arguments(power_on, specification, machine, service):
    malice, places, left = Malice(service.name), None, 0
    for _ in range(100):
        if not left:
            places, left = Places(power_on(**machine), specification), 25
        left -= 1
        if play(places, service, malice.arguments(service)):
            left = 0


@pytest.mark.parametrize("seed", range(60))
def test_any_sequence_of_calls(power_on, specification, machine, seed):
    malice, places = Malice(seed), Places(power_on(**machine), specification)
    for _ in range(60):
        service = malice.random.choice([each for each in (*SERVICES, *METHODS) if each.name not in ENDS])
        if play(places, service, malice.arguments(service)):
            return
    # The firmware is still whole.
    assert sum(each.end - each.start for each in places.guest.firmware.memory_map) == specification.size


def how_it_ends(guest, name, *arguments):
    """The kind of end that a call brings about; None where it returns."""
    began = time.process_time()
    try:
        guest.call(name, *arguments)
    except RunEnds as ended:
        return ended.kind
    finally:
        assert time.process_time() - began < PATIENCE
    return None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wild", [0x10, LAST, 1 << 63])
def test_the_same_wild_pointer_everywhere(guest, name, wild):
    # ResetSystem's data is there for people: the reset takes place whatever it points to.
    assert how_it_ends(guest, name, *[wild] * 7) in (None, "reset" if name == "ResetSystem" else "fault")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_null(guest, name):
    assert how_it_ends(guest, name, *[0] * 7) == ("reset" if name == "ResetSystem" else None)


class TestSizes:
    """Arguments that ask for more than any host has."""

    @pytest.mark.parametrize("size", [1 << 33, 1 << 62, LAST])
    @pytest.mark.parametrize("service", ["CopyMem", "SetMem", "CalculateCrc32"])
    def test_memory(self, guest, specification, service, size):
        start, out = specification.scratch_end, guest.room()
        arguments = {
            "CopyMem": (start, start + 8, size),
            "SetMem": (start, size, 0),
            "CalculateCrc32": (start, size, out),
        }
        before = bytes(guest.memory.data)
        with pytest.raises(RunEnds) as ended:
            guest.call(service, *arguments[service])
        assert ended.value.kind == "fault"
        stack = guest.cpu.registers["rsp"] - specification.base
        assert guest.memory.data[: stack - 0x100] == before[: stack - 0x100]
        assert (
            guest.memory.data[specification.scratch_end - specification.base :]
            == before[specification.scratch_end - specification.base :]
        )

    def test_exit_data(self, guest):
        handle = guest.load(lambda image, *_: guest.call("Exit", image, Status.ABORTED, LAST, 0x20_0000), name="child")
        # No pool is that large: Exit says so and returns, and so does the image.
        assert guest.call("StartImage", handle, 0, 0) == Status.OUT_OF_RESOURCES

    def test_a_timer_that_ticks_while_time_jumps(self, guest):
        ran = []
        timer = guest.event(0x8000_0200, 8, lambda *_: ran.append(1))
        guest.call("RaiseTPL", 16)
        guest.call("SetTimer", timer, 1, 0)
        guest.call("Stall", LAST)
        assert ran == []
        guest.call("RestoreTPL", 4)
        assert ran == [1]

    def test_many_small_allocations(self, guest):
        out = guest.room()
        began = time.process_time()
        while guest.call("AllocatePool", 2, 2000, out) == Status.SUCCESS:
            pass
        assert guest.call("AllocatePages", 0, 2, 1, out) == Status.OUT_OF_RESOURCES
        # The firmware itself needs no memory to go on.
        assert guest.call("FreePool", guest.u64(out)) in (Status.SUCCESS, Status.INVALID_PARAMETER)
        guest.call("Stall", 1)
        assert time.process_time() - began < PATIENCE

    def test_without_memory_every_service_still_answers(self, guest):
        child = guest.load(name="child")
        out, guid, path = guest.room(), guest.put(b"n" * 16), guest.put(guest.put(b"\x7f\xff\4\0"))
        for size in (1 << 20, 1 << 12, 1 << 8, 8):
            while guest.call("AllocatePool", 4, size, out) == Status.SUCCESS:
                pass
            while guest.call("AllocatePool", 6, size, out) == Status.SUCCESS:
                pass
        full = Status.OUT_OF_RESOURCES
        handles = list(guest.firmware.handles)
        assert guest.call("CreateEvent", 0, 0, 0, 0, out) == full
        assert guest.call("InstallProtocolInterface", guest.put(0), guid, 0, 1) == full
        assert guest.call("InstallMultipleProtocolInterfaces", guest.put(0), guid, 1, 0) == full
        assert guest.call("LocateHandleBuffer", 0, 0, 0, guest.room(), out) == full
        assert guest.call("ProtocolsPerHandle", guest.payload, out, guest.room()) == full
        assert guest.call("RegisterProtocolNotify", guid, event_of(guest), out) == full
        assert guest.call("LocateDevicePath", guid, path, out) == Status.NOT_FOUND
        assert list(guest.firmware.handles) == handles
        assert guest.call("StartImage", child, 0, 0) == Status.SUCCESS
        guest.exit_boot_services()


def event_of(guest):
    """The console's event, which is there without being made."""
    return guest.u64(guest.u64(guest.firmware.system_table + 48) + 16)


class TestNesting:
    """Functions that call back for ever."""

    def test_a_notification_that_lowers_its_level(self, guest):
        count = 0

        def again(event, *_):
            nonlocal count
            count += 1
            guest.call("RestoreTPL", 4)
            guest.call("SignalEvent", event)

        event = guest.event(0x200, 8, again)
        with pytest.raises(RunEnds, match="nested"):
            guest.call("SignalEvent", event)
        assert count == MAX_DEPTH - 1
        guest.firmware.dispatcher.abandon()
        assert [each.status for each in guest.observer.ended[-count:]] == [None] * count

    def test_images_that_start_images(self, guest):
        depth = 0

        def main(*_):
            nonlocal depth
            depth += 1
            return guest.call("StartImage", guest.load(main, name="again", size=0x1000), 0, 0)

        with pytest.raises(RunEnds, match="nested"):
            main()
        assert depth == MAX_DEPTH

    def test_an_unload_function_that_unloads_for_ever(self, guest):
        handle = guest.load(name="driver", subsystem=11)
        guest.call("StartImage", handle, 0, 0)
        at = guest.firmware.images.get(handle).interface
        unload = guest.function(lambda image, *_: guest.call("UnloadImage", image))
        guest.memory.write(at + 88, unload.to_bytes(8, "little"))
        with pytest.raises(RunEnds, match="nested"):
            guest.call("UnloadImage", handle)

    def test_a_way_out_of_the_deepest_place(self, guest):
        depth = 0

        def again(event, *_):
            nonlocal depth
            depth += 1
            if depth == MAX_DEPTH - 4:
                guest.call("Exit", child, Status.ABORTED, 0, 0)
            guest.call("RestoreTPL", 4)
            guest.call("SignalEvent", event)

        event = guest.event(0x200, 8, again)
        child = guest.load(lambda *_: guest.call("SignalEvent", event), name="child")
        assert guest.call("StartImage", child, 0, 0) == Status.ABORTED
        assert guest.call("CloseEvent", event) == Status.SUCCESS


def test_handles_that_the_guest_frees_itself(guest):
    """On a real machine this is a way to a crash; here it may not be more than that."""
    event = guest.event(0x8000_0200, 8, lambda *_: 0)
    guest.call("SetTimer", event, 1, 1)
    assert guest.call("FreePool", event) == Status.SUCCESS
    again = guest.event(0x8000_0000)
    assert guest.call("SignalEvent", again) == Status.SUCCESS
    guest.call("CloseEvent", again)
    guest.call("CloseEvent", event)
    guest.call("Stall", 1000)
    handle = guest.put(0)
    guest.call("InstallProtocolInterface", handle, guest.put(b"g" * 16), 0, 1)
    assert guest.call("FreePool", guest.u64(handle)) == Status.SUCCESS
    guest.call("UninstallProtocolInterface", guest.u64(handle), guest.put(b"g" * 16), 1)
    guest.exit_boot_services()
