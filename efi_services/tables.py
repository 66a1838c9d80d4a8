"""The tables of services of UEFI 2.10, chapter 4: every slot in the specification's order."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from efi_services.boot import events, images, memory, misc, protocols
from efi_services.runtime import misc as runtime_misc
from efi_services.runtime import time, variables, virtual_memory
from efi_services.system_table import TableHeader

if TYPE_CHECKING:
    from efi_services.abi import Abi
    from efi_services.service import Service

#: UEFI 2.10.
REVISION = 2 << 16 | 100

BOOT_SIGNATURE = 0x56524553544F4F42
RUNTIME_SIGNATURE = 0x56524553544E5552


def _slots(*functions: Any) -> tuple[Service | None, ...]:
    return tuple(getattr(each, "service", each) for each in functions)


#: EFI_BOOT_SERVICES after its header (section 4.4); None is the reserved slot.
BOOT_SERVICES = _slots(
    events.raise_tpl,
    events.restore_tpl,
    memory.allocate_pages,
    memory.free_pages,
    memory.get_memory_map,
    memory.allocate_pool,
    memory.free_pool,
    events.create_event,
    events.set_timer,
    events.wait_for_event,
    events.signal_event,
    events.close_event,
    events.check_event,
    protocols.install_protocol_interface,
    protocols.reinstall_protocol_interface,
    protocols.uninstall_protocol_interface,
    protocols.handle_protocol,
    None,
    protocols.register_protocol_notify,
    protocols.locate_handle,
    protocols.locate_device_path,
    misc.install_configuration_table,
    images.load_image,
    images.start_image,
    images.exit_image,
    images.unload_image,
    images.exit_boot_services,
    misc.get_next_monotonic_count,
    misc.stall,
    misc.set_watchdog_timer,
    protocols.connect_controller,
    protocols.disconnect_controller,
    protocols.open_protocol,
    protocols.close_protocol,
    protocols.open_protocol_information,
    protocols.protocols_per_handle,
    protocols.locate_handle_buffer,
    protocols.locate_protocol,
    protocols.install_multiple_protocol_interfaces,
    protocols.uninstall_multiple_protocol_interfaces,
    misc.calculate_crc32,
    misc.copy_mem,
    misc.set_mem,
    events.create_event_ex,
)

#: EFI_RUNTIME_SERVICES after its header (section 4.5).
RUNTIME_SERVICES = _slots(
    time.get_time,
    time.set_time,
    time.get_wakeup_time,
    time.set_wakeup_time,
    virtual_memory.set_virtual_address_map,
    virtual_memory.convert_pointer,
    variables.get_variable,
    variables.get_next_variable_name,
    variables.set_variable,
    runtime_misc.get_next_high_monotonic_count,
    runtime_misc.reset_system,
    runtime_misc.update_capsule,
    runtime_misc.query_capsule_capabilities,
    variables.query_variable_info,
)


def with_crc(abi: Abi, table: bytes) -> bytes:
    """The table with its header's CRC-32 computed over all of it, the CRC field taken as zero."""
    at = TableHeader.offsetof(abi, "crc32")
    blank = table[:at] + bytes(4) + table[at + 4 :]
    return table[:at] + zlib.crc32(blank).to_bytes(4, "little") + table[at + 4 :]


def service_table(abi: Abi, signature: int, pointers: list[int]) -> bytes:
    """A table of function pointers behind its header."""
    size = TableHeader.sizeof(abi) + len(pointers) * abi.pointer_bytes
    header = TableHeader(signature, REVISION, size, 0, 0)
    return with_crc(abi, header.pack(abi) + b"".join(map(abi.pack, pointers)))


def rewritten(abi: Abi, now: bytes, before: bytes, new: bytes) -> bytes:
    """A table that was *before* and becomes *new*, with what a guest has changed in it kept, and its CRC right."""
    width = abi.pointer_bytes
    words = (
        now[at : at + width] if before[at : at + width] == new[at : at + width] else new[at : at + width]
        for at in range(0, len(new), width)
    )
    return with_crc(abi, b"".join(words))
