"""Protocol handler services (UEFI 2.10, section 7.3)."""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING

from efi_services import drivers, guids, handles
from efi_services.device_path import END
from efi_services.memory_map import MemoryType
from efi_services.service import Calls, service
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import (
    UINT32,
    UINTN,
    Boolean,
    Buffer,
    Bytes,
    EventHandle,
    Flags32,
    Guid,
    Handle,
    In,
    InOut,
    Out,
    Pairs,
    Pointer,
    read_path,
)

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


class InterfaceType(IntEnum):
    """EFI_INTERFACE_TYPE."""

    Native = 0


class SearchType(IntEnum):
    """EFI_LOCATE_SEARCH_TYPE."""

    AllHandles = 0
    ByRegisterNotify = 1
    ByProtocol = 2


@struct
class OpenInformation(Struct):
    """EFI_OPEN_PROTOCOL_INFORMATION_ENTRY (section 7.3.11)."""

    agent: Handle
    controller: Handle
    attributes: UINT32
    open_count: UINT32


@service("InstallProtocolInterface", "7.3.2")
def install_protocol_interface(
    fw: Firmware, handle: InOut[Handle], protocol: In[Guid], interface_type: InterfaceType, interface: Pointer
) -> Status:
    """Put a protocol on a handle, or on a new one."""
    handle.set(fw.install(handle.get(), protocol, interface))
    return Status.SUCCESS


@service("ReinstallProtocolInterface", "7.3.4")
def reinstall_protocol_interface(
    fw: Firmware, handle: Handle, protocol: In[Guid], old_interface: Pointer, new_interface: Pointer
) -> Calls[Status]:
    """Exchange a protocol's interface and tell those who wait for it; drivers that use it stop, and may start again."""
    fw.handles.check(handle, protocol, old_interface)
    yield from drivers.make_way(fw, handle, protocol)
    for event in fw.handles.reinstall(handle, protocol, old_interface, new_interface):
        fw.events.signal(event)
    yield from _connect_again(fw, handle)
    return Status.SUCCESS


@service("UninstallProtocolInterface", "7.3.3")
def uninstall_protocol_interface(
    fw: Firmware, handle: Handle, protocol: In[Guid], interface: Pointer
) -> Status | Calls[Status]:
    """Take a protocol off a handle; drivers that use it have to stop first."""
    try:
        fw.handles.uninstall(handle, protocol, interface)
    except EfiError as refusal:
        if refusal.status is not Status.ACCESS_DENIED:
            raise
        return _uninstall_used(fw, handle, protocol, interface)
    return Status.SUCCESS


def _uninstall_used(fw: Firmware, handle: int, protocol: Guid, interface: int) -> Calls[Status]:
    try:
        yield from drivers.make_way(fw, handle, protocol)
        fw.handles.uninstall(handle, protocol, interface)
    except EfiError:
        yield from _connect_again(fw, handle)
        raise
    return Status.SUCCESS


def _connect_again(fw: Firmware, handle: int) -> Calls[None]:
    """After drivers were stopped, or have something new to look at."""
    with suppress(EfiError):
        yield from drivers.connect(fw, handle, (), 0, recursive=True)


@service("HandleProtocol", "7.3.7")
def handle_protocol(fw: Firmware, handle: Handle, protocol: In[Guid], interface: Out[Pointer]) -> Status:
    """The interface of a protocol on a handle; UNSUPPORTED where the handle lacks it."""
    agent = fw.images.running[-1] if fw.images.running else 0
    try:
        found = fw.handles.open(handle, protocol, agent, 0, handles.BY_HANDLE_PROTOCOL)
    except EfiError:
        interface.set(0)
        raise
    interface.set(found)
    return Status.SUCCESS


@service("RegisterProtocolNotify", "7.3.5")
def register_protocol_notify(
    fw: Firmware, protocol: In[Guid], event: EventHandle, registration: Out[Pointer]
) -> Status:
    """Signal *event* whenever the protocol is installed."""
    fw.events.get(event)
    key = fw.new_handle()
    fw.handles.register(protocol, event, key)
    registration.set(key)
    return Status.SUCCESS


@service("LocateHandle", "7.3.6")
def locate_handle(
    fw: Firmware, search: SearchType, protocol: In[Guid] | None, key: Pointer, size: InOut[Bytes], buffer: Buffer | None
) -> Status:
    """The handles that match, in a buffer of *size* bytes."""
    found = _search(fw, search, protocol, key, room=size.get() // fw.abi.pointer_bytes if buffer else 0)
    needed = len(found) * fw.abi.pointer_bytes
    room = size.get()
    size.set(needed)
    if room < needed:
        raise EfiError(Status.BUFFER_TOO_SMALL)
    if buffer is None:
        raise EfiError(Status.INVALID_PARAMETER)
    buffer.write(b"".join(map(fw.abi.pack, found)))
    return Status.SUCCESS


@service("LocateHandleBuffer", "7.3.15")
def locate_handle_buffer(
    fw: Firmware, search: SearchType, protocol: In[Guid] | None, key: Pointer, count: Out[UINTN], buffer: Out[Pointer]
) -> Status:
    """The handles that match, in a buffer that the caller frees."""
    try:
        found = _search(fw, search, protocol, key, room=1)
    except EfiError:
        count.set(0)
        buffer.set(0)
        raise
    buffer.set(fw.store(b"".join(map(fw.abi.pack, found)), MemoryType.BootServicesData, "handle buffer"))
    count.set(len(found))
    return Status.SUCCESS


@service("LocateDevicePath", "7.3.8")
def locate_device_path(
    fw: Firmware, protocol: In[Guid], device_path: InOut[Pointer], device: Out[Handle] | None
) -> Status:
    """The handle whose device path is the longest start of *device_path*, which is moved behind that start."""
    if device_path.get() == 0:
        raise EfiError(Status.INVALID_PARAMETER)
    path = read_path(fw.memory, device_path.get())
    handle, matched = fw.handles.nearest(protocol, path, lambda at: read_path(fw.memory, at))
    if device is None:
        raise EfiError(Status.INVALID_PARAMETER)
    device.set(handle)
    device_path.set(device_path.get() + matched)
    return Status.SUCCESS


@service("OpenProtocol", "7.3.9")
def open_protocol(
    fw: Firmware,
    handle: Handle,
    protocol: In[Guid],
    interface: Out[Pointer] | None,
    agent: Handle,
    controller: Handle,
    attributes: Flags32,
) -> Status | Calls[Status]:
    """Open a protocol on a handle for an agent; for one that wants it alone, a driver that has it is stopped."""
    if interface is None and attributes != handles.TEST_PROTOCOL:
        raise EfiError(Status.INVALID_PARAMETER)
    try:
        found = fw.handles.open(handle, protocol, agent, controller, attributes)
    except EfiError as refusal:
        if refusal.status is Status.ACCESS_DENIED and attributes & handles.EXCLUSIVE and interface is not None:
            return _open_alone(fw, handle, protocol, interface, agent, controller, attributes)
        if interface is not None and attributes != handles.TEST_PROTOCOL and refusal.status is Status.UNSUPPORTED:
            interface.set(0)
        raise
    if interface is not None and attributes != handles.TEST_PROTOCOL:
        interface.set(found)
    return Status.SUCCESS


def _open_alone(
    fw: Firmware, handle: int, protocol: Guid, interface: Out[int], agent: int, controller: int, attributes: int
) -> Calls[Status]:
    if any(each.attributes & handles.EXCLUSIVE for each in fw.handles.openings(handle, protocol)):
        raise EfiError(Status.ACCESS_DENIED)
    yield from drivers.make_way(fw, handle, protocol)
    interface.set(fw.handles.open(handle, protocol, agent, controller, attributes))
    return Status.SUCCESS


@service("CloseProtocol", "7.3.10")
def close_protocol(fw: Firmware, handle: Handle, protocol: In[Guid], agent: Handle, controller: Handle) -> Status:
    """Close what `OpenProtocol` opened."""
    fw.handles.close(handle, protocol, agent, controller)
    return Status.SUCCESS


@service("OpenProtocolInformation", "7.3.11")
def open_protocol_information(
    fw: Firmware, handle: Handle, protocol: In[Guid], buffer: Out[Pointer], count: Out[UINTN]
) -> Status:
    """Who has a protocol open, in a buffer that the caller frees."""
    lines = [
        OpenInformation(each.agent, each.controller, each.attributes, each.count)
        for each in fw.handles.openings(handle, protocol)
    ]
    data = b"".join(each.pack(fw.abi) for each in lines)
    buffer.set(fw.store(data, MemoryType.BootServicesData, "open protocol information"))
    count.set(len(lines))
    return Status.SUCCESS


@service("ProtocolsPerHandle", "7.3.14")
def protocols_per_handle(fw: Firmware, handle: Handle, buffer: Out[Pointer], count: Out[UINTN]) -> Status:
    """Pointers to the GUIDs of a handle's protocols, in a buffer that the caller frees."""
    found = fw.handles.protocols(handle)
    pointers = b"".join(fw.abi.pack(fw.guid_at(guid)) for guid in found)
    buffer.set(fw.store(pointers, MemoryType.BootServicesData, "protocols of a handle"))
    count.set(len(found))
    return Status.SUCCESS


@service("LocateProtocol", "7.3.16")
def locate_protocol(fw: Firmware, protocol: In[Guid], registration: Pointer, interface: Out[Pointer]) -> Status:
    """The first interface of a protocol; a miss leaves NULL, since callers test the pointer."""
    try:
        if registration:
            handle, guid = fw.handles.next_registered(registration)
        else:
            guid = protocol
            handle = next(iter(fw.handles.with_protocol(guid)), 0)
            if not handle:
                raise EfiError(Status.NOT_FOUND)
    except EfiError as miss:
        interface.set(0)
        raise EfiError(Status.NOT_FOUND) from miss
    interface.set(fw.handles.get(handle, guid).interface)
    return Status.SUCCESS


@service("InstallMultipleProtocolInterfaces", "7.3.17")
def install_multiple_protocol_interfaces(fw: Firmware, handle: InOut[Handle], protocols: Pairs) -> Status:
    """Install several protocols, or none of them; ALREADY_STARTED for a device path that another handle has."""
    wanted = [(_guid(fw, at), interface) for at, interface in protocols]
    for guid, interface in wanted:
        if guid == guids.DEVICE_PATH and interface and _same_path_exists(fw, interface):
            raise EfiError(Status.ALREADY_STARTED)
    where = handle.get()
    done: list[tuple[Guid, int]] = []
    try:
        for guid, interface in wanted:
            where = fw.install(where, guid, interface)
            done.append((guid, interface))
    except EfiError:
        for guid, interface in done:
            fw.handles.uninstall(where, guid, interface)
        raise
    handle.set(where)
    return Status.SUCCESS


@service("UninstallMultipleProtocolInterfaces", "7.3.18")
def uninstall_multiple_protocol_interfaces(fw: Firmware, handle: Handle, protocols: Pairs) -> Calls[Status]:
    """Take several protocols off a handle, or none of them."""
    wanted = [(_guid(fw, at), interface) for at, interface in protocols]
    if handle not in fw.handles or len({guid for guid, _ in wanted}) < len(wanted):
        raise EfiError(Status.INVALID_PARAMETER)
    # Asked before anything is taken off: a handle that has lost its last protocol can't be brought back.
    for guid, interface in wanted:
        try:
            fw.handles.check(handle, guid, interface)
            yield from drivers.make_way(fw, handle, guid)
            fw.handles.check_uninstall(handle, guid, interface)
        except EfiError:
            yield from _connect_again(fw, handle)
            raise EfiError(Status.INVALID_PARAMETER) from None
    for guid, interface in wanted:
        fw.handles.uninstall(handle, guid, interface)
    return Status.SUCCESS


@service("ConnectController", "7.3.12")
def connect_controller(
    fw: Firmware, controller: Handle, driver_images: Buffer | None, remaining_path: Pointer, recursive: Boolean
) -> Calls[Status]:
    """Ask drivers to manage a controller, those of the given images first."""
    width = fw.abi.pointer_bytes
    first: list[int] = []
    while driver_images is not None:
        each = fw.abi.unpack(fw.memory.read(driver_images.address + len(first) * width, width))
        if not each:
            break
        if len(first) == drivers.MAX_DRIVERS:
            raise EfiError(Status.INVALID_PARAMETER)
        first.append(each)
    yield from drivers.connect(fw, controller, first, remaining_path, recursive=bool(recursive))
    return Status.SUCCESS


@service("DisconnectController", "7.3.13")
def disconnect_controller(fw: Firmware, controller: Handle, driver_image: Handle, child: Handle) -> Calls[Status]:
    """Stop the drivers of a controller, or one of them; succeeds where there is nothing to stop."""
    yield from drivers.disconnect(fw, controller, driver_image, child)
    return Status.SUCCESS


def _guid(fw: Firmware, address: int) -> Guid:
    return Guid(bytes_le=fw.memory.read(address, 16))


def _same_path_exists(fw: Firmware, interface: int) -> bool:
    path = read_path(fw.memory, interface)
    try:
        _, length = fw.handles.nearest(guids.DEVICE_PATH, path, lambda at: read_path(fw.memory, at))
    except EfiError:
        return False
    return path[length:] == END


def _search(fw: Firmware, search: SearchType, protocol: Guid | None, key: int, *, room: int) -> list[int]:
    """The handles that a search finds; raises NOT_FOUND or INVALID_PARAMETER."""
    match search:
        case SearchType.AllHandles:
            found = list(fw.handles)
        case SearchType.ByRegisterNotify:
            if not key:
                raise EfiError(Status.INVALID_PARAMETER)
            found = [fw.handles.next_registered(key, take=room > 0)[0]]
        case _:
            if protocol is None:
                raise EfiError(Status.INVALID_PARAMETER)
            found = fw.handles.with_protocol(protocol)
    if not found:
        raise EfiError(Status.NOT_FOUND)
    return found
