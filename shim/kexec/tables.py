"""Which configuration tables of the earlier kernel's stub the next one finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from efi_services import guids
from shim.config.platform import TableSettings
from shim.errors import UnreadableError
from shim.handoff import ram_image

if TYPE_CHECKING:
    from shim.trace.folder import RunFolder

#: What each stub makes for itself.
_MADE_ANEW = {guids.LINUX_EFI_INITRD_MEDIA, guids.LINUX_EFI_BOOT_MEMMAP, guids.LINUX_EFI_TPM_EVENT_LOG}
#: Memory that a kernel leaves as it is.
_LASTING = {"ReservedMemoryType", "ACPIReclaimMemory", "ACPIMemoryNVS", "RuntimeServicesData"}
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Carried:
    """Tables that go on, and for each of the others a sentence that says why not."""

    tables: tuple[TableSettings, ...]
    left_behind: tuple[str, ...]


def carried(run: RunFolder) -> Carried:
    """The tables that a guest has installed in *run*; those of the firmware are there again by themselves.

    Raises:
        UnreadableError: the folder is damaged.
    """
    state = run.json("handoff/state.json")
    if state is None:
        raise UnreadableError(f"{run.path}: no kernel entry was reached, so nothing can follow")
    rows = run.table("regions").to_pylist()
    tables, left = [], []
    try:
        told = {UUID(guid): int(address) for guid, address in state["configuration_tables"].items()}
        live = [each for each in rows if each["died_call"] is None and each["kind"] in ("pool", "pages")]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnreadableError(f"{run.path}/handoff/state.json: damaged") from None
    has_ram = (run.path / ram_image.FILE).is_file()
    for guid, address in told.items():
        region = next((each for each in live if each["start"] <= address < each["end"]), None)
        if region is None:
            continue
        name = guids.name_of(guid)
        size = region["end"] - address
        if guid in _MADE_ANEW:
            left.append(f"{name}: the next stub makes its own")
        elif region["type"] not in _LASTING:
            left.append(f"{name}: it lies in {region['type']}, which the kernel has used by then")
        elif size > _MOST:
            left.append(f"{name}: it may have {size} bytes")
        elif not has_ram:
            left.append(f"{name}: its bytes are not in the run folder, which was made without --dump-ram")
        else:
            data = ram_image.of_run(run.path).read(address, size)
            tables.append(TableSettings(vendor=guid, data=data.hex(), type=region["type"]))
    return Carried(tuple(tables), tuple(left))
