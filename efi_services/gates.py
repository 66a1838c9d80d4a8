"""Gates: the addresses at which the CPU enters the firmware, one for each service, with nothing but a return behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import guids, tables
from efi_services.abi import GATE_STEP
from efi_services.dispatch import Gate
from efi_services.memory_map import PAGE, AllocateType, MemoryType, Owner
from efi_services.ports import Access
from efi_services.service import PROTOCOLS, Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from efi_services.firmware import Firmware
    from efi_services.service import ProtocolType

#: Protocols that only some platforms have. Their gates come last, so that those of the others are where they are
#: without them.
_NOT_EVERYWHERE = (guids.TCG2, guids.CC_MEASUREMENT, guids.RISCV_BOOT, guids.GRAPHICS_OUTPUT)


class Gates:
    """The gates of all services that are declared; *ranges* are the pages where they are, start and end."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._address_of: dict[int, int] = {}
        boot: list[tuple[Service, str]] = [(each, "boot") for each in tables.BOOT_SERVICES if each is not None]
        # In an order that doesn't depend on which module was imported first.
        for declared in sorted(PROTOCOLS.values(), key=lambda each: (each.guid in _NOT_EVERYWHERE, each.name)):
            if not declared.outlives:
                boot += [(slot, "protocol") for slot in declared.slots if isinstance(slot, Service)]
        runtime = [(each, "runtime") for each in tables.RUNTIME_SERVICES if each is not None]
        self.ranges: tuple[tuple[int, int], ...] = (
            self._build(boot, MemoryType.BootServicesCode),
            self._build(runtime, MemoryType.RuntimeServicesCode, spare=1),
        )
        # Guest functions return to a gate of their own, behind those of the services that outlive boot services:
        # SetVirtualAddressMap calls them too.
        firmware.dispatcher.return_gate = self.ranges[-1][0] + len(runtime) * GATE_STEP

    def address(self, service: Service | None) -> int:
        """A service's gate; 0 for a slot of a table that has none."""
        return 0 if service is None else self._address_of[id(service)]

    def outlive(self, declared: ProtocolType) -> None:
        """Build gates of a protocol that outlives boot services, in memory that nobody takes before the kernel does.

        They are built where it is published first: without it, memory is as if there were no such protocol.
        """
        slots = [(slot, "protocol") for slot in declared.slots if isinstance(slot, Service)]
        if any(id(slot) in self._address_of for slot, _ in slots):
            return
        added = self._build(slots, MemoryType.LoaderCode, lasting=True)
        # The machine knows the last ones as those of the runtime services.
        *others, runtime = self.ranges
        self.ranges = (*others, added, runtime)

    def _build(
        self, services: Sequence[tuple[Service, str]], memory_type: MemoryType, spare: int = 0, *, lasting: bool = False
    ) -> tuple[int, int]:
        firmware = self._firmware
        size = -(-(len(services) + spare) * GATE_STEP // PAGE) * PAGE
        start = firmware.memory_map.allocate(AllocateType.AnyPages, memory_type, size // PAGE, owner=Owner.FIRMWARE)
        firmware.observer.region_born(start, start + size, "firmware", memory_type.name, "gates of services", Access.RX)
        firmware.memory.write(start, firmware.abi.return_instruction.ljust(GATE_STEP, b"\xcc") * (size // GATE_STEP))
        firmware.mmu.protect(start, size, Access.RX)
        for index, (service, table) in enumerate(services):
            address = start + index * GATE_STEP
            self._address_of[id(service)] = address
            firmware.dispatcher.add_gate(
                address, Gate(service, table, ends_with_boot_services=not (lasting or table == "runtime"))
            )
        return start, start + size
