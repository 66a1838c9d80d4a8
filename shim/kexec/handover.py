"""How the measurement list reaches the next kernel: as its architecture does it, and in memory of its own.

x86 has a link of setup_data for it (SETUP_IMA), other architectures the property linux,ima-kexec-buffer of /chosen.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from efi_services.memory_map import PAGE, MemoryType
from shim.config.device_tree import Node
from shim.config.platform import Reserved
from shim.errors import UsageError
from shim.handoff import setup_data
from shim.handoff.verdicts.rule import X86
from shim.stages.load import Stage

if TYPE_CHECKING:
    from shim.config.platform import Memory, Platform
    from shim.stages.state import State

PROPERTY = "linux,ima-kexec-buffer"
_SETUP_IMA = 8
#: setup_data's head, and struct ima_setup_data: address and size.
_LINK = struct.Struct("<QIIQQ")
#: Where boot_params say where the list of setup_data begins.
_SETUP_DATA = 0x250
#: The firmware's own tables get the top of memory.
_BELOW_TOP, _ALIGNMENT = 64 << 20, 64 << 10


@dataclass(frozen=True, slots=True)
class Handover:
    """Where the list lies, on a platform that keeps room for it, and the stage that tells an x86 kernel."""

    address: int
    platform: Platform
    stages: tuple[Stage, ...]


def place(platform: Platform, size: int, before: int | None) -> Handover:
    """Find room for a list of *size* bytes, and tell the platform; *before* is where the last one was.

    Raises:
        UsageError: there is no room, or no way to tell the kernel.
    """
    memory = platform.memory
    kept = tuple(each for each in memory.reserved if each.start != before)
    pages = -(-size // PAGE) + 1
    start = _free(memory, kept, pages * PAGE)
    reserved = Reserved(start=start, size=pages * PAGE, type=MemoryType.LoaderData.name)
    update: dict[str, Any] = {"memory": memory.model_copy(update={"reserved": (*kept, reserved)})}
    if platform.machine in X86:
        node = start + (pages - 1) * PAGE
        stage = Stage("kexec:SETUP_IMA", lambda state: add_link(state, node, start, size))
        return Handover(start, platform.model_copy(update=update), (stage,))
    if platform.device_tree is None:
        raise UsageError(f"platform {platform.name} has no device tree in which a list could be handed over")
    update["device_tree"] = _told(platform.device_tree, start, size)
    return Handover(start, platform.model_copy(update=update), ())


def add_link(state: State, node: int, address: int, size: int) -> None:
    """Put a link SETUP_IMA at *node*, behind all that the stub has made."""
    boot_params = state.handoff.get("boot_params")
    if boot_params is None:
        state.stop("there are no boot_params, so the measurement list can't be handed over")
        return
    at = boot_params["address"] + _SETUP_DATA
    links = list(setup_data.links(boot_params["fields"]["setup_data"], lambda a, s: memoryview(state.read(a, s))))
    if any(each.type == _SETUP_IMA for each in links):
        state.stop("there is a link SETUP_IMA already")
        return
    state.write(node, _LINK.pack(0, _SETUP_IMA, _LINK.size - setup_data.HEADER.size, address, size))
    state.write(links[-1].address if links else at, node.to_bytes(8, "little"))


def _free(memory: Memory, kept: tuple[Reserved, ...], size: int) -> int:
    """The highest place, some way below the top of low memory."""
    taken = [(each.start, each.start + each.size) for each in (*kept, *memory.holes)]
    start, end = memory.ranges[0]
    at = (end - min(_BELOW_TOP, (end - start) // 4) - size) & -_ALIGNMENT
    while at >= start:
        hit = next((first for first, last in taken if first < at + size and at < last), None)
        if hit is None:
            return at
        at = (hit - size) & -_ALIGNMENT
    raise UsageError(f"there is no room in memory for a measurement list of {size} bytes")


def _told(tree: Node, address: int, size: int) -> Node:
    """The tree with the property, in cells as the root counts them."""
    cells: list[int] = []
    for name, value in (("address", address), ("size", size)):
        count = tree.properties.get(f"#{name}-cells", 2)
        cells += [value >> 32, value & 0xFFFF_FFFF] if count == 2 else [value]
    root: dict[str, Any] = tree.model_dump(mode="python")
    root["chosen"] = {**root.get("chosen", {}), PROPERTY: tuple(cells)}
    return Node.model_validate(root)
