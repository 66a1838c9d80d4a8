"""From a gate to a service and back: decoding, running, recording, and calls into the guest.

The machine calls `Dispatcher.enter` when the CPU stands at a gate. A service that needs guest code to run
(StartImage, a notification function) is a generator that yields `GuestCall`s; its frame waits on a stack of
frames until the guest function returns to the *return gate*.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from efi_services import status as status_codes
from efi_services.abi import Convention
from efi_services.decoder import Decoder
from efi_services.ports import MemoryFault
from efi_services.status import EfiError, Status, Unimplemented

if TYPE_CHECKING:
    from collections.abc import Generator

    from efi_services.firmware import Firmware
    from efi_services.ports import Memory
    from efi_services.service import GuestCall, Service
    from efi_services.types import Guid, Json

#: Virtual time that a service call takes, in nanoseconds.
CALL_COST = 1000
#: Guest functions that the firmware may be waiting for at once.
MAX_DEPTH = 128


class RunEnds(Exception):
    """The payload has come to its end."""

    def __init__(self, kind: str, status: int | None, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = status
        self.detail = detail


class ImageExits(Exception):
    """The image *handle* called Exit: everything above its StartImage is unwound."""

    def __init__(self, handle: int, status: int) -> None:
        super().__init__(f"image {handle:#x} exits")
        self.handle = handle
        self.status = status


@dataclass(frozen=True, slots=True)
class Gate:
    """What the firmware does at a gate address. *table* names where a caller finds the slot."""

    service: Service
    table: str
    ends_with_boot_services: bool


@dataclass(slots=True)
class Call:
    """One service call as it is recorded. Addresses are guest addresses, times virtual nanoseconds."""

    seq: int
    parent: int | None
    depth: int
    image: str
    pc: int
    caller: int
    table: str
    service: str
    protocol: str | None
    time: int
    implemented: bool = True
    guid: Guid | None = None
    arguments: dict[str, Json] = field(default_factory=dict)
    results: dict[str, Json] = field(default_factory=dict)
    status: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class _Frame:
    """A service that waits for a guest function, and where it goes on afterwards."""

    steps: Generator[GuestCall, int, Any]
    service: Service | None
    call: Call | None
    values: list[Any]
    saved: tuple[int, ...]
    caller: int
    image: int | None = None


class Dispatcher:
    """Runs the services of one firmware on one CPU."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._memory = firmware.memory
        self._convention = Convention(firmware.abi, firmware.cpu, firmware.memory)
        self._frames: list[_Frame] = []
        self._calls = 0
        self._gates: dict[int, Gate] = {}
        self._decoders: dict[int, Decoder] = {}
        self.return_gate = 0

    @property
    def call_count(self) -> int:
        """Service calls so far."""
        return self._calls

    def add_gate(self, address: int, gate: Gate) -> None:
        """Let calls to *address* run the gate's service."""
        self._gates[address] = gate
        self._decoders.pop(address, None)

    def start(self, steps: Generator[GuestCall, int, Any]) -> None:
        """Begin with *steps*, whose first `GuestCall` is where the CPU starts."""
        self._advance(_Frame(steps, None, None, [], self._convention.save(), 0), None)

    def enter(self, address: int) -> None:
        """The CPU stands at a gate: run its service, or go on with the one that waits for this return."""
        try:
            self._enter(address)
        except MemoryFault as end:
            # Not an argument but the stack itself is where no memory is.
            raise RunEnds("fault", None, f"the firmware, on the guest's stack: {end}") from None

    def _enter(self, address: int) -> None:
        if address == self.return_gate:
            if not self._frames:
                raise RunEnds("fault", None, "a return to the firmware that nothing waits for")
            self._advance(self._frames.pop(), self._convention.result())
            return
        gate = self._gates.get(address)
        if gate is None:
            raise RunEnds("fault", None, f"a jump into the firmware's gates at {address:#x}, where no service is")
        self._call(address, gate)

    def _call(self, address: int, gate: Gate) -> None:
        firmware, memory, service = self._firmware, self._memory, gate.service
        decoder = self._decoders.get(address)
        if decoder is None:
            decoder = self._decoders[address] = Decoder(service, self._convention, memory)
        entry = self._convention.enter()
        call = self._record(address, firmware.abi.code_address(entry.caller), gate)
        firmware.observer.call_begins(call)
        firmware.slots.look(call.image)
        values: list[Any] = []
        result: Any = Status.SUCCESS
        before = memory.bytes_read, memory.bytes_written
        try:
            if gate.ends_with_boot_services and firmware.boot_services_exited:
                firmware.finding("boot-service-after-exit", f"{gate.service.name} called from {call.caller:#x}")
                # Nothing is read through the pointers of a call that nobody serves.
                raw: list[Any] = decoder.values(entry)[service.has_this :]
                named = zip(service.parameters, raw, strict=True)
                call.arguments.update((parameter.name, f"{each:#x}") for parameter, each in named)
                raise EfiError(Status.UNSUPPORTED)
            if service.function is None:
                raise Unimplemented
            raw = decoder.raw(entry)
            receiver: Any = firmware
            if service.protocol is not None and not service.has_this:
                receiver = firmware.only_instance(service.protocol)
            elif service.protocol is not None:
                receiver, raw = firmware.interfaces.get(raw[0]), raw[1:]
                if type(receiver) is not firmware.protocol_classes.get(service.protocol):
                    raise EfiError(Status.INVALID_PARAMETER)
            for (name, decode, show), each in zip(decoder.parameters, raw, strict=True):
                value = decode(each)
                values.append(value)
                call.arguments[name] = show(value)
            result = service.function(receiver, *values)
        except EfiError as refusal:
            # A protocol's function that gives a pointer says by NULL that it can't.
            result = 0 if service.protocol is not None and service.returns == "value" else refusal.status
            call.implemented = not isinstance(refusal, Unimplemented)
            values += [None] * (len(service.parameters) - len(values))
        except ImageExits as leaving:
            self._settle(call, service, values, None)
            self._unwind(leaving)
            return
        except (RunEnds, MemoryFault) as end:
            self._settle(call, service, values, None)
            raise _fatal(end, call) from None
        _count(call, before, memory)
        firmware.clock.advance(CALL_COST)
        steps: Generator[GuestCall, int, Any]
        if isinstance(result, types.GeneratorType):
            steps = result
        elif firmware.events.ready():
            steps = _after(firmware.events.dispatch(), result)
        else:
            self._settle(call, service, values, result)
            self._convention.finish(self._encode(service, result))
            return
        self._advance(_Frame(steps, service, call, values, self._convention.save(), entry.caller), None)

    def _advance(self, frame: _Frame, returned: int | None) -> None:
        """Let a waiting service go on; it either wants another guest call or is done."""
        firmware = self._firmware
        before = firmware.memory.bytes_read, firmware.memory.bytes_written
        wanted: GuestCall | None = None
        result: Any = None
        try:
            wanted = next(frame.steps) if returned is None else frame.steps.send(returned)
        except StopIteration as done:
            result = done.value
        except EfiError as refusal:
            result = refusal.status
        except (RunEnds, MemoryFault) as end:
            if frame.call is not None and frame.service is not None:
                self._settle(frame.call, frame.service, frame.values, None)
            raise _fatal(end, frame.call) from None
        if frame.call is not None:
            _count(frame.call, before, firmware.memory)
        if wanted is not None:
            self._into_guest(frame, wanted)
        elif firmware.events.ready():
            frame.steps = _after(firmware.events.dispatch(), result)
            self._advance(frame, None)
        else:
            assert frame.call is not None
            assert frame.service is not None
            self._settle(frame.call, frame.service, frame.values, result)
            self._convention.leave(frame.saved, frame.caller, self._encode(frame.service, result))

    def _into_guest(self, frame: _Frame, wanted: GuestCall) -> None:
        if len(self._frames) >= MAX_DEPTH:
            raise RunEnds("fault", None, f"guest functions nested more than {MAX_DEPTH} deep")
        frame.image = wanted.image
        self._frames.append(frame)
        self._convention.call(wanted.function, wanted.arguments, self.return_gate, frame.saved)

    def _unwind(self, leaving: ImageExits) -> None:
        """Drop every frame above the one that started the image, and let that one go on with the exit status."""
        while self._frames:
            frame = self._frames.pop()
            if frame.image == leaving.handle:
                # As if its entry point had returned it.
                self._advance(frame, status_codes.encode(leaving.status, self._firmware.abi.pointer_bytes))
                return
            frame.steps.close()
            if frame.call is not None and frame.service is not None:
                self._settle(frame.call, frame.service, frame.values, None)
        raise RunEnds("fault", None, "Exit of an image that no StartImage waits for")

    def abandon(self) -> None:
        """Record the calls that the end of the run left waiting."""
        while self._frames:
            frame = self._frames.pop()
            if frame.call is not None and frame.service is not None:
                self._settle(frame.call, frame.service, frame.values, None)

    def _record(self, address: int, caller: int, gate: Gate) -> Call:
        firmware, service = self._firmware, gate.service
        parents = [frame.call.seq for frame in self._frames if frame.call is not None] if self._frames else ()
        call = Call(
            self._calls,
            parents[-1] if parents else None,
            len(parents),
            firmware.images.name_of_caller(caller),
            address,
            caller,
            gate.table,
            service.name,
            service.protocol,
            firmware.clock.now,
            guid=service.guid,
        )
        self._calls += 1
        return call

    def _settle(self, call: Call, service: Service, values: list[Any], result: Any) -> None:
        if result is not None and values:
            call.results.update(service.results(values))
        if result is None:
            call.status = None
        elif service.returns == "status":
            call.status = status_codes.name(int(result))
        elif service.returns == "value":
            call.results["result"] = int(result)
        self._firmware.observer.call_ends(call)

    def _encode(self, service: Service, result: Any) -> int:
        if service.returns == "status":
            return status_codes.encode(int(result), self._firmware.abi.pointer_bytes)
        return int(result or 0)


def _after(notifications: Generator[GuestCall, int, None], result: Any) -> Generator[GuestCall, int, Any]:
    """A service's result, once the notifications that became due have run."""
    yield from notifications
    return result


def _count(call: Call, before: tuple[int, int], memory: Memory) -> None:
    call.bytes_in += memory.bytes_read - before[0]
    call.bytes_out += memory.bytes_written - before[1]


def _fatal(end: RunEnds | MemoryFault, call: Call | None) -> RunEnds:
    """A pointer that no memory is behind ends the run, as it would crash a firmware."""
    if isinstance(end, RunEnds):
        return end
    return RunEnds("fault", None, f"{call.service if call else 'the firmware'}, called by the guest: {end}")
