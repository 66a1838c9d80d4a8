"""Two boots made by hand: on ours, and on a machine that measures itself too."""

from __future__ import annotations

from efi_services.guids import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType, image_load_event, tagged_event, variable_data
from efi_services.tcg.registers import PCRS, replay
from observed import Observed, Range
from shim.measure.readers import read

BANKS = (Algorithm.SHA1, Algorithm.SHA256)
CALLING = b"Calling EFI Application from Boot Option"


def made(pcr, kind, hashed, data=None):
    return Event(pcr, kind, digests(BANKS, hashed), hashed if data is None else data)


def ours_and_theirs():
    """The events of a boot on ours, and those of the same boot on a machine that measures itself too."""
    secure_boot = [
        made(7, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, variable_data(vendor, name, value))
        for vendor, name, value in ((GLOBAL_VARIABLE, "SecureBoot", b"\0"), (IMAGE_SECURITY_DATABASE, "db", b""))
    ]
    option = b"\1\0\0\0\4\0" + "UiApp\0".encode("utf-16-le") + b"\x7f\xff\4\0"
    boot_order, entry = (
        made(1, EventType.EV_EFI_VARIABLE_BOOT, value, variable_data(GLOBAL_VARIABLE, name, value))
        for name, value in (("BootOrder", b"\0\0"), ("Boot0000", option))
    )
    version = made(0, EventType.EV_S_CRTM_VERSION, "2022.11\0".encode("utf-16-le"))
    volume = made(0, EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB, b"code", b"\0\0\x82\0\0\0\0\0\0\0\x0e\0\0\0\0\0")
    files = made(1, EventType.EV_PLATFORM_CONFIG_FLAGS, b"DSDT", b"ACPI DATA")
    kernel = [
        made(4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, b"kernel", image_load_event(at, 100, 0, b"\x7f\xff\4\0"))
        for at in (0, 0x3CCC_4018)
    ]
    action = made(4, EventType.EV_EFI_ACTION, CALLING)
    separators = [made(pcr, EventType.EV_SEPARATOR, bytes(4)) for pcr in range(7)]
    rest = [
        made(9, EventType.EV_EVENT_TAG, b"options", tagged_event(0x8F3B22ED, b"LOADED_IMAGE::LoadOptions\0")),
        made(5, EventType.EV_EFI_ACTION, b"Exit Boot Services Invocation"),
    ]
    here = [*secure_boot, kernel[0], action, *separators, *rest]
    there = [version, volume, *secure_boot, files, kernel[1], boot_order, entry, action, *separators, *rest]
    return here, there


def observed(events, **fields):
    """What is seen of a boot with these events, whose TPM has what they come to."""
    values = replay(events, BANKS)
    zeroes = {index: {bank: bytes(bank.size) for bank in BANKS} for index in range(PCRS)}
    return Observed(
        firmware="EDK II",
        cmdline="quiet",
        initrd_sha256="00" * 32,
        log=read(log.encode(events, BANKS)),
        registers={**zeroes, **values},
        **{
            "tables": {"INITRD": 0x2000, "TPMFinalLog": 0x3000},
            "memory_map": (
                Range(0x0000, 0x2000, "ConventionalMemory", False),
                Range(0x2000, 0x3000, "LoaderData", False),
                Range(0x3000, 0x4000, "ACPIMemoryNVS", False),
                Range(0x4000, 0x5000, "RuntimeServicesData", True),
                Range(0x5000, 0x6000, "LoaderCode", False),
            ),
            **fields,
        },
    )
