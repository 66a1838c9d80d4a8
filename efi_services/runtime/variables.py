"""Variable services (UEFI 2.10, section 8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import variables
from efi_services.service import service
from efi_services.status import EfiError, Status
from efi_services.tcg import firmware_events
from efi_services.types import UINT64, Buffer, Bytes, CStr16, Flags32, Guid, In, InOut, Out, read_text

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@service("GetVariable", "8.2.1")
def get_variable(
    fw: Firmware,
    name: CStr16,
    vendor: In[Guid],
    attributes: Out[Flags32] | None,
    size: InOut[Bytes],
    data: Buffer | None,
) -> Status:
    """Read a variable."""
    if not name:
        raise EfiError(Status.NOT_FOUND)
    variable = fw.variables.get(name, vendor, runtime=fw.boot_services_exited)
    room = size.get()
    size.set(len(variable.data))
    if attributes is not None:
        attributes.set(variable.attributes)
    if room < len(variable.data):
        raise EfiError(Status.BUFFER_TOO_SMALL)
    if data is None:
        raise EfiError(Status.INVALID_PARAMETER)
    data.write(variable.data)
    fw.observer.provided(f"variable {name}", data.address, variable.data)
    return Status.SUCCESS


@service("GetNextVariableName", "8.2.2")
def get_next_variable_name(fw: Firmware, size: InOut[Bytes], name: Buffer, vendor: InOut[Guid]) -> Status:
    """The name after the given one."""
    room = size.get()
    given = read_text(fw.memory, name.address)
    if len(given.encode("utf-16-le")) + 2 > room:
        raise EfiError(Status.INVALID_PARAMETER)
    found = fw.variables.following(given, vendor.get(), runtime=fw.boot_services_exited)
    text = (found.name + "\0").encode("utf-16-le")
    size.set(len(text))
    if room < len(text):
        raise EfiError(Status.BUFFER_TOO_SMALL)
    name.write(text)
    vendor.set(found.vendor)
    return Status.SUCCESS


@service("SetVariable", "8.2.3")
def set_variable(
    fw: Firmware, name: CStr16, vendor: In[Guid], attributes: Flags32, size: Bytes, data: Buffer | None
) -> Status:
    """Write, extend or delete a variable; what is authenticated, only with the right signature."""
    if size and data is None:
        raise EfiError(Status.INVALID_PARAMETER)
    if size > variables.MAX_VARIABLE_SIZE:
        raise EfiError(Status.INVALID_PARAMETER)
    value = data.read(size) if data is not None else b""
    fw.variables.set(name, vendor, attributes, value, runtime=fw.boot_services_exited)
    if not fw.boot_services_exited:
        firmware_events.variable_written(fw.measurer, fw.variables, (name, vendor))
    return Status.SUCCESS


@service("QueryVariableInfo", "8.2.4")
def query_variable_info(
    fw: Firmware, attributes: Flags32, maximum: Out[UINT64], remaining: Out[UINT64], largest: Out[UINT64]
) -> Status:
    """How much room there is."""
    kept = attributes & ~variables.APPEND_WRITE
    if kept & ~variables.ALL_ATTRIBUTES or not kept & variables.BOOTSERVICE_ACCESS:
        raise EfiError(Status.INVALID_PARAMETER)
    if kept & (variables.HARDWARE_ERROR_RECORD | variables.AUTHENTICATED_WRITE_ACCESS):
        raise EfiError(Status.UNSUPPORTED)
    maximum.set(variables.MAX_STORAGE)
    remaining.set(fw.variables.room())
    largest.set(variables.MAX_VARIABLE_SIZE)
    return Status.SUCCESS
