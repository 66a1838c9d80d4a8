"""The same boot on our firmware, and what can be seen of it."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import EventType
from observed import RUNTIME, TABLES, Observed, Range, type_name
from payloads.pe import authenticode
from qemu import Failed
from shim.config.measuring import TpmEvent
from shim.config.platform import Platform, VariableSettings, load_platform
from shim.handoff import ram_image, x86
from shim.measure.formats.fields import fields
from shim.measure.profiles import PROFILES
from shim.measure.readers import read
from shim.trace.folder import open_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.tcg.events import Event
    from shim.measure.model import Measurements
    from shim.measure.readers import ReadLog

_BOOT_VARIABLES = (EventType.EV_EFI_VARIABLE_BOOT, EventType.EV_EFI_VARIABLE_BOOT2)
_IMAGE = EventType.EV_EFI_BOOT_SERVICES_APPLICATION
#: Registers in which the machine's own part is: what its makers measured, and not the boot.
_MACHINES = (0, 1, 2, 3, 6)


def platform(name: str, *, direct: bool) -> Platform:
    """A ready platform, if *direct* one that loads the payload as a firmware for QEMU loads what ``-kernel`` names."""
    ready = load_platform(name)
    if not direct:
        return ready
    settings = ready.firmware.model_copy(update={"direct_boot": True})
    return ready.model_copy(update={"name": f"{name}-direct", "firmware": settings})


def knowing(base: Platform, log: ReadLog) -> Platform:
    """The platform with what a machine's log tells of the machine itself: its firmware's events, its boot entries."""
    events, variables = [], []
    for each in log.events:
        if each.type in _BOOT_VARIABLES:
            said = fields(each)
            variables.append(VariableSettings(name=said["variable"], vendor=said["vendor"], data=said["value"]))
        elif each.index in _MACHINES and each.type != EventType.EV_SEPARATOR and each.extends:
            digests = {algorithm.label: digest.hex() for algorithm, digest in each.digests.items()}
            events.append(TpmEvent(pcr=each.index, type=each.type, data=each.data.hex(), digests=digests))
    assert base.tpm is not None
    tpm = base.tpm.model_copy(update={"banks": tuple(each.label for each in log.algorithms), "events": tuple(events)})
    made = base.model_copy(update={"name": f"{base.name}-known", "tpm": tpm, "variables": tuple(variables)})
    return Platform.model_validate(made.model_dump())


def as_loaded(kernel: bytes, log: ReadLog, initrd_size: int) -> tuple[bytes, bool]:
    """The kernel as the machine loaded it, and whether QEMU had changed it: the digest in the log decides.

    QEMU fills in what a boot loader would fill in. Since version 10 there is an unchanged copy as well (fw_cfg's
    etc/boot/kernel), for a firmware that knows of it.
    """
    for changed in (False, True):
        file = with_loader_fields(kernel, initrd_size) if changed else kernel
        if any(_is_of(each, file) for each in log.events if each.type == _IMAGE):
            return file, changed
    return kernel, False


def with_loader_fields(kernel: bytes, initrd_size: int) -> bytes:
    """A bzImage as hw/i386/x86.c of QEMU leaves it, on a machine with 1 GiB."""
    if kernel[0x202:0x206] != b"HdrS":
        return kernel
    made = bytearray(kernel)
    real, command_line, memory, acpi = 0x10000, 0x20000, 1 << 30, 0x28000
    initrd = (memory - acpi - 1 - initrd_size) & ~4095
    made[0x210] = 0xB0
    made[0x211] |= 0x80
    struct.pack_into("<H", made, 0x224, command_line - real - 0x200)
    struct.pack_into("<I", made, 0x228, command_line)
    struct.pack_into("<II", made, 0x218, initrd, initrd_size)
    return bytes(made)


def _is_of(event: Event, image: bytes) -> bool:
    return any(authenticode(image, each.label) == digest for each, digest in event.digests.items())


def run(kernel: Path, initrd: Path, cmdline: str, on: Platform, folder: Path, *more: str) -> Path:
    """Run it, with *more* options, and give the run folder; raises Failed where it comes to no hand-off."""
    described, out = folder / f"{on.name}.toml", folder / on.name
    described.write_text(on.toml)
    tool = Path(sys.executable).with_name("efi-shim")
    done = subprocess.run(
        [tool, "run", kernel, "--initrd", initrd, "--cmdline", cmdline, "--platform", described, "--trace", "calls",
         "--quiet", "--out", out, *more],
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"efi-shim run ended with exit status {done.returncode}")
    return out


def measured(folder: Path) -> Measurements:
    """What a run measured."""
    found = PROFILES["firmware"].measure(open_run(folder), {}).set_of("tpm")
    assert found is not None
    return found


def registers(folder: Path) -> dict[int, dict[Algorithm, bytes]]:
    """What the TPM's registers held at the end."""
    found = json.loads((folder / "measurements.json").read_text())["sets"][0]["registers"]
    banks = {each.label: each for each in Algorithm}
    return {int(n): {banks[bank]: bytes.fromhex(it) for bank, it in held.items()} for n, held in found.items()}


def of_run(folder: Path) -> Observed:
    """What can be seen of a run that kept its RAM."""
    state: dict[str, Any] = json.loads((folder / "handoff" / "state.json").read_text())
    boot_params, tree, initrd = state.get("boot_params"), state.get("device_tree"), state["initrd"]
    tables = {TABLES[guid]: at for guid, at in state["configuration_tables"].items() if guid in TABLES}
    on = load_platform(str(folder / "platform.toml"))
    ram = ram_image.of_run(folder)
    digest = hashlib.sha256(ram.read(initrd["address"], initrd["size"])).hexdigest()
    table = tpm2(ram.read, tables["ACPI 2.0"])
    return Observed(
        firmware=f"efi-shim, platform {on.name}",
        cmdline=boot_params["command_line"] if boot_params else tree["chosen"]["bootargs"],
        initrd_sha256=digest,
        log=read((folder / "eventlog.bin").read_bytes()),
        registers=registers(folder),
        tables=tables,
        memory_map=tuple(
            Range(
                each["start"],
                each["start"] + each["pages"] * 4096,
                type_name(each["type"]),
                bool(each["attribute"] & RUNTIME),
            )
            for each in state["memory_map"]
        ),
        tpm2=table,
        boot_params=x86.decode((folder / "handoff" / "boot_params.bin").read_bytes()) if boot_params else None,
        chosen=tree["chosen"] if tree else None,
    )


def tpm2(read_ram: Callable[[int, int], bytes], root: int) -> bytes | None:
    """The ACPI table TPM2, by way of RSDP and XSDT as a kernel finds it."""
    xsdt = int.from_bytes(read_ram(root + 24, 8), "little")
    entries = read_ram(xsdt + 36, int.from_bytes(read_ram(xsdt + 4, 4), "little") - 36)
    for (at,) in struct.iter_unpack("<Q", entries):
        if read_ram(at, 4) == b"TPM2":
            return read_ram(at, int.from_bytes(read_ram(at + 4, 4), "little"))
    return None
