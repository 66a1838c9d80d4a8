"""What lies where at the kernel's entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from efi_services.abi import ABIS
from efi_services.memory_map import PAGE
from efi_services.ports import MemoryFault
from efi_services.system_table import SystemTable
from shim.handoff import setup_data, x86
from shim.handoff.page_walk import Paging, UnknownPagingError, of
from shim.handoff.verdicts.rule import X86, BrokenError, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.handoff.verdicts.rule import Handed

#: What the kernel needs until it has built its own, which it does before it gives out memory.
UNTIL_REPLACED = frozenset({"page tables", "GDT", "IDT", "stack"})


@dataclass(frozen=True, slots=True)
class Extent:
    """A thing in memory: its name, first address and size."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size

    def __str__(self) -> str:
        return f"{self.name} at {self.start:#x}..{self.end:#x}"


def extents(handed: Handed) -> Iterator[Extent]:
    """Everything that the kernel is to find, as far as the state tells where it lies."""
    kernel = handed.kernel
    yield Extent("kernel", *(kernel.extent if kernel.known else (handed.state["entry"], 1)))
    initrd = initrd_of(handed)
    if initrd is not None:
        yield initrd
    if handed.architecture in X86:
        yield from _of_x86(handed)
    elif handed.state.get("device_tree") is not None:
        yield Extent("device tree", handed.state["device_tree"]["address"], handed.state["device_tree"]["size"])
    memory_map = memory_map_of(handed)
    if memory_map is not None:
        yield Extent("memory map", memory_map["start"], memory_map["size"])
    yield Extent("system table", handed.state["system_table"], SystemTable.sizeof(ABIS[handed.architecture]))
    for table in _tables(handed):
        yield Extent("page tables", table, PAGE)


def _of_x86(handed: Handed) -> Iterator[Extent]:
    boot_params = handed.state.get("boot_params")
    if boot_params is not None:
        yield Extent("boot_params", boot_params["address"], x86.SIZE)
        text = boot_params["command_line"]
        if boot_params["command_line_address"]:
            size = 1 if text is None else len(text.encode("utf-8", "replace")) + 1
            yield Extent("command line", boot_params["command_line_address"], size)
        following = boot_params["fields"]["setup_data"]
        for link in setup_data.links(following, handed.memory.view):
            yield Extent("setup_data", link.address, setup_data.HEADER.size + link.size)
            following = link.following
        if following:
            # The list leads out of memory, or back into itself.
            yield Extent("setup_data", following, setup_data.HEADER.size)
    for name in ("gdt", "idt"):
        yield Extent(name.upper(), handed.register(f"{name}_base"), handed.register(f"{name}_limit") + 1)


def initrd_of(handed: Handed) -> Extent | None:
    """The initrd, as the kernel will find it: by the stub's configuration table, or by boot_params."""
    found = handed.state.get("initrd")
    if found is not None and found["size"]:
        return Extent("initrd", found["address"], found["size"])
    boot_params = handed.state.get("boot_params")
    if boot_params is not None and boot_params["initrd_size"]:
        return Extent("initrd", boot_params["initrd_address"], boot_params["initrd_size"])
    return None


def memory_map_of(handed: Handed) -> dict[str, Any] | None:
    """Where the kernel is told that the EFI memory map lies: start, size, descriptor_size, version, system_table."""
    if handed.architecture in X86:
        boot_params = handed.state.get("boot_params")
        if boot_params is None:
            return None
        efi = boot_params["efi_info"]
        return {
            "start": efi["memory_map"],
            "size": efi["memory_map_size"],
            "descriptor_size": efi["descriptor_size"],
            "version": efi["descriptor_version"],
            "system_table": efi["system_table"],
        }
    tree = handed.state.get("device_tree")
    if tree is None:
        return None
    names = {
        "start": "linux,uefi-mmap-start",
        "size": "linux,uefi-mmap-size",
        "descriptor_size": "linux,uefi-mmap-desc-size",
        "version": "linux,uefi-mmap-desc-ver",
        "system_table": "linux,uefi-system-table",
    }
    found = {key: tree["chosen"].get(name) for key, name in names.items()}
    return found if all(isinstance(each, int) for each in found.values()) else None


def paging(handed: Handed) -> Paging | None:
    """The map that the CPU uses; None while there is none."""
    try:
        return of(handed.architecture, handed.state["registers"], handed.memory.view)
    except UnknownPagingError as why:
        raise NotApplicableError(str(why)) from None


def _tables(handed: Handed) -> Iterator[int]:
    try:
        map_ = paging(handed)
        if map_ is not None:
            yield from map_.tables()
    except NotApplicableError:
        return
    except UnknownPagingError as why:
        raise BrokenError(str(why)) from None
    except MemoryFault as fault:
        # Named as what it is by the rule about RAM.
        yield fault.address
