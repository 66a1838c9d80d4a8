"""What the firmware is told of the machine it runs on: plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from efi_services.secure_boot.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from efi_services.framebuffer import Resolution
    from efi_services.keyboard import Key
    from efi_services.memory_map import Range
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event
    from efi_services.types import Guid
    from efi_services.variables import Variable


class PlatformError(ValueError):
    """The platform asks for what can't be."""


@dataclass(frozen=True, slots=True)
class ConfigurationTable:
    """A configuration table that the platform brings: its bytes, and the type of memory that they lie in."""

    vendor: Guid
    data: bytes
    memory_type: int


@dataclass(frozen=True, slots=True)
class Measuring:
    """Measurement registers, and the log beside them.

    *kind* is tpm, tdx or cca. *events* are those that the platform knows of its firmware's own code, of which ours
    is none; digests that they lack are of their data. *header_index* is what the log's first entry has for a register.
    *interface* is the TPM's, tis or crb, as ACPI tells of it. *known* is what registers hold in the end that such code
    extends, or that nothing does, where the platform can tell.
    """

    kind: str
    algorithms: tuple[Algorithm, ...]
    events: tuple[Event, ...] = ()
    log_bytes: int = 64 * 1024
    final_bytes: int = 32 * 1024
    header_index: int = 0
    interface: str = "tis"
    known: Mapping[int, Mapping[Algorithm, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecureBoot:
    """Secure Boot at power-on: its mode, and whether images are verified as soon as there is a platform key.

    An image that is refused is loaded all the same where *defer* is set, and can't be started.
    """

    mode: Mode = Mode.SETUP
    enforcing: bool = False
    defer: bool = False


@dataclass(frozen=True, slots=True)
class Graphics:
    """A screen: its modes by number, and which of them it is in at power-on."""

    modes: tuple[Resolution, ...]
    mode: int = 0


@dataclass(frozen=True, slots=True)
class SecureLaunch:
    """What is there to launch a kernel dynamically (TrenchBoot), for kernels of the *generation*.

    *architecture* is txt or skinit. *parked* tells of each of the other processors whether it waits to be woken.
    *dma_protection* says whether the chipset can keep devices from memory. *locality_kept* is a TPM locality that the
    firmware does not let go of.
    """

    generation: str
    architecture: str
    heap_bytes: int = 0
    parked: tuple[bool, ...] = ()
    on_boot_processor: bool = True
    dma_protection: bool = True
    locality_kept: int | None = None


@dataclass(frozen=True, slots=True)
class Platform:
    """The machine, as far as firmware sees it.

    Times are seconds since 1970; *stack_bytes* is what the payload's stack gets (UEFI asks for 128 KiB at
    least), *heap_bytes* what lies above each image as firmware's own. *runtime_services* is the mask of
    EFI_RT_PROPERTIES_TABLE. With *direct_boot* the payload is no boot option's, but what QEMU's ``-kernel`` names.
    """

    name: str
    ranges: tuple[Range, ...]
    vendor: str = "efi-shim"
    revision: int = 0x0001_0000
    stack_bytes: int = 256 * 1024
    heap_bytes: int = 0
    start_time: int = 1_767_225_600
    variables: tuple[Variable, ...] = ()
    secure_boot: SecureBoot = SecureBoot()
    tables: tuple[ConfigurationTable, ...] = ()
    acpi: tuple[bytes, ...] = ()
    smbios: bytes = b""
    rng: bool = True
    memory_attribute: bool = True
    hii: bool = True
    boot_hart_protocol: bool = True
    console: bool = True
    keys: tuple[Key, ...] = ()
    direct_boot: bool = False
    tpm: Measuring | None = None
    cc: Measuring | None = None
    graphics: Graphics | None = None
    slaunch: SecureLaunch | None = None
    runtime_services: int = field(default=0x3FFF)
