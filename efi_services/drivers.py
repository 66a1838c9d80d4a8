"""The driver model: who is asked to manage a controller, and who is made to stop (UEFI 2.10, 7.3.12, 7.3.13 and 11.1).

Drivers are the guest's: each has a function that tells whether it wants a controller, one to start, one to stop. The
protocols by which platforms, bus drivers and families of drivers put an order of their own first are not asked.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services import status
from efi_services.device_path import END
from efi_services.guids import DRIVER_BINDING
from efi_services.handles import BY_DRIVER
from efi_services.memory_map import MemoryType
from efi_services.service import Calls, GuestCall
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT32, Guid, Handle, Pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from efi_services.firmware import Firmware

#: A list of drivers without an end in sight is no list.
MAX_DRIVERS = 1024


@struct
class DriverBinding(Struct):
    """EFI_DRIVER_BINDING_PROTOCOL (section 11.1)."""

    supported: Pointer
    start: Pointer
    stop: Pointer
    version: UINT32
    image: Handle
    handle: Handle


@dataclass(frozen=True, slots=True)
class _Driver:
    """A handle with a driver binding, and where that lies."""

    handle: int
    address: int
    binding: DriverBinding

    def call(self, fw: Firmware, function: int, *arguments: int) -> Calls[bool]:
        """Call one of its functions; whether that succeeded."""
        returned = yield GuestCall(function, (self.address, *arguments))
        return not status.is_error(status.decode(returned, fw.abi.pointer_bytes))


def connect(fw: Firmware, controller: int, first: Sequence[int], remaining: int, *, recursive: bool) -> Calls[None]:
    """Let drivers start, those of the images *first* before the others; *recursive* means the children too.

    Raises:
        EfiError: INVALID_PARAMETER, or NOT_FOUND where none started.
    """
    fw.handles.protocols(controller)
    if any(each not in fw.handles for each in first):
        raise EfiError(Status.INVALID_PARAMETER)
    started = yield from _connect_one(fw, controller, first, remaining)
    if recursive:
        done, waiting = {controller}, fw.handles.children(controller)
        # Without drivers there is nobody to ask, however many children there are.
        while waiting and fw.handles.with_protocol(DRIVER_BINDING):
            child = waiting.pop(0)
            if child in fw.handles and child not in done:
                done.add(child)
                yield from _connect_one(fw, child, (), 0)
                waiting += fw.handles.children(child)
    # A bus driver that is told to make no child has nothing to do.
    if not started and not (remaining and fw.memory.read(remaining, len(END)) == END):
        raise EfiError(Status.NOT_FOUND)


def _connect_one(fw: Firmware, controller: int, first: Sequence[int], remaining: int) -> Calls[bool]:
    left = _in_order(_drivers(fw), first)
    started, asking = False, True
    while asking:
        # One that has started may be what another was waiting for.
        asking = False
        for driver in tuple(left):
            gone = driver.handle not in fw.handles or controller not in fw.handles
            if gone or not (yield from driver.call(fw, driver.binding.supported, controller, remaining)):
                continue
            left.remove(driver)
            asking = True
            started |= yield from driver.call(fw, driver.binding.start, controller, remaining)
    return started


def _drivers(fw: Firmware) -> list[_Driver]:
    places = (
        (each, fw.handles.get(each, DRIVER_BINDING).interface) for each in fw.handles.with_protocol(DRIVER_BINDING)
    )
    return [_Driver(handle, address, _binding_at(fw, address)) for handle, address in places if address]


def _binding_at(fw: Firmware, address: int) -> DriverBinding:
    return DriverBinding.unpack(fw.abi, fw.memory.read(address, DriverBinding.sizeof(fw.abi)))


def _in_order(drivers: Iterable[_Driver], first: Sequence[int]) -> list[_Driver]:
    """The drivers of *first* in its order; then the others, the highest version first."""

    def rank(driver: _Driver) -> tuple[int, int]:
        places = [place for place, each in enumerate(first) if each in (driver.handle, driver.binding.image)]
        return min(places, default=len(first)), -driver.binding.version

    return sorted(drivers, key=rank)


def disconnect(fw: Firmware, controller: int, driver: int, child: int) -> Calls[None]:
    """Stop the drivers that manage a controller, or only *driver*; with *child*, for that child only.

    Raises:
        EfiError: INVALID_PARAMETER, or DEVICE_ERROR where none of them stopped.
    """
    fw.handles.protocols(controller)
    if child and child not in fw.handles:
        raise EfiError(Status.INVALID_PARAMETER)
    stopped = refused = False
    for each in (driver,) if driver else fw.handles.managers(controller):
        address = fw.handles.get(each, DRIVER_BINDING).interface if _is_driver(fw, each) else 0
        if not address:
            raise EfiError(Status.INVALID_PARAMETER)
        if each not in fw.handles.managers(controller):
            continue
        children = fw.handles.children(controller, each)
        if child and child not in children:
            continue
        managing = _Driver(each, address, _binding_at(fw, address))
        if (yield from _stop(fw, managing, controller, [child] if child else children, len(children))):
            stopped = True
        else:
            refused = True
    if refused and not stopped:
        raise EfiError(Status.DEVICE_ERROR)


def _is_driver(fw: Firmware, handle: int) -> bool:
    return handle in fw.handles and DRIVER_BINDING in fw.handles.protocols(handle)


def _stop(fw: Firmware, driver: _Driver, controller: int, children: Sequence[int], of: int) -> Calls[bool]:
    """Stop children, and when none is left the driver itself."""
    if children:
        at = fw.store(b"".join(map(fw.abi.pack, children)), MemoryType.BootServicesData, "children to stop")
        try:
            if not (yield from driver.call(fw, driver.binding.stop, controller, len(children), at)):
                return False
        finally:
            # The guest may have freed it, against all rules.
            with suppress(EfiError):
                fw.discard(at)
    if len(children) < of:
        return True
    return (yield from driver.call(fw, driver.binding.stop, controller, 0, 0))


def make_way(fw: Firmware, handle: int, protocol: Guid) -> Calls[None]:
    """Stop the drivers that have a protocol of a handle open; raises ACCESS_DENIED where one doesn't stop."""
    for each in list(fw.handles.openings(handle, protocol)):
        if not each.attributes & BY_DRIVER or each.agent not in fw.handles.managers(handle):
            continue
        try:
            yield from disconnect(fw, handle, each.agent, 0)
        except EfiError:
            raise EfiError(Status.ACCESS_DENIED) from None
