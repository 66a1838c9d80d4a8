"""Kernels that can be launched dynamically, by generation: what each measures, where no table tells.

TrenchBoot's patches are not in Linux yet, and have changed over the years; a generation is named after the year of its
include/linux/slr_table.h. The policies are GRUB's default ones, as they are after a stub has run.
"""

from __future__ import annotations

from dataclasses import dataclass

from efi_services.slaunch.slrt import Entity, Layout, Measured


@dataclass(frozen=True, slots=True)
class Generation:
    """How kernels of a generation measure.

    *layout* is that of the table; None where policy and order are the kernel's own. *both* says that setup_data which
    points elsewhere is measured along with its target, *markers* that two events bracket the others. *skinit* tells
    whether AMD's launch was thought of.
    """

    layout: Layout | None
    both: bool
    markers: bool
    skinit: bool = True
    #: Whether it is known what a boot loader of its time asks for.
    has_policy: bool = True
    #: How its stub asks for a launch: by EFI_SLAUNCH_PROTOCOL (protocol), or by the function that the SLR table names,
    #: which is a configuration table then (handler). None where that is not known well enough.
    form: str | None = None


GENERATIONS = {
    "2026": Generation(
        Layout(wide=True, addresses=2, copied=True, described=True), both=True, markers=False, form="protocol"
    ),
    "2025": Generation(Layout(wide=True, addresses=2, copied=True), both=False, markers=True, form="handler"),
    "2024": Generation(Layout(wide=True, addresses=1, copied=False), both=False, markers=True, form="handler"),
    "2023": Generation(
        Layout(wide=False, addresses=0, copied=False), both=False, markers=True, skinit=False, has_policy=False
    ),
    "2022": Generation(None, both=False, markers=True, skinit=False),
}


def policy(generation: Generation, details: int, authorities: int) -> tuple[Measured, ...]:
    """What is measured, in order, where no table tells: details of the boot, and who is answerable for it."""
    boot_params = Measured(authorities, Entity.BOOT_PARAMS, "Measured boot parameters")
    setup_data = Measured(authorities, Entity.SETUP_DATA, "Measured Kernel setup_data")
    command_line = Measured(authorities, Entity.CMDLINE, "Measured Kernel command line")
    memory_map = Measured(authorities, Entity.UEFI_MEMMAP, "Measured EFI memory map")
    if generation.layout is None:
        initrd = Measured(details, Entity.RAMDISK, "Measured initramfs")
        heap = Measured(authorities, Entity.TXT_OS2MLE, "Measured TXT OS-MLE data")
        return boot_params, command_line, setup_data, memory_map, initrd, heap
    table = Measured(authorities, Entity.SLRT, "Measured SLR Table")
    initrd = Measured(details, Entity.RAMDISK, "Measured Kernel initrd")
    return table, boot_params, setup_data, command_line, memory_map, initrd
