"""Holds Secure Boot against OVMF's: the same images, the same keys, docs/secure-boot-ovmf.md.

Images are made and signed here, with keys of now. A program that both trust loads them, and prints what LoadImage says,
what the firmware wrote into its image execution table, and what it measured into PCRs 4 and 7. Exit status 1 where the
two differ without a known reason, 12 where a tool is missing. Needs qemu-system-x86, ovmf, swtpm and sbsigntool;
takes a minute or so.

    python tests/fidelity/secure_boot.py [-o FILE] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from virt.firmware.efi import guids
from virt.firmware.efi.efivar import EfiVarList
from virt.firmware.varstore.edk2 import Edk2VarStore

import qemu
import signed_images
from efi_services.guids import IMAGE_SECURITY_DATABASE
from efi_services.tcg.events import type_name
from payloads.catalogue import program
from report import table

CODE, LAYOUT = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
OUTPUT = Path(__file__).parents[2] / "docs" / "secure-boot-ovmf.md"
_MISSING = 12
_END = b"That is all."
_KEY_ATTRIBUTES = 0x27
_ACTIONS = ("untested", "signature failed", "signature passed", "signature not found", "signature found")
#: What terminals are told of colours and places.
_ESCAPES = re.compile(rb"\x1b\[[0-9;=?]*[A-Za-z]|\x1b[()][A-Z0-9]")


def there(folder: Path, lists: dict[str, bytes]) -> bytes:
    """What the program prints on OVMF."""
    store, listed = Edk2VarStore(LAYOUT), EfiVarList()
    for name, data in lists.items():
        variable = listed.create(name)
        variable.data, variable.attr = data, _KEY_ATTRIBUTES
        if name.startswith("db"):
            variable.guid = guids.parse_str(str(IMAGE_SECURITY_DATABASE))
    listed.enable_secureboot()
    store.write_varstore(str(folder / "variables.fd"), listed)
    with qemu.swtpm(folder) as socket:
        said = qemu.console_of(
            [
                "qemu-system-x86_64", "-machine", "q35,smm=on,accel=tcg", "-m", "512M", "-display", "none",
                "-nic", "none", "-nodefaults", "-no-reboot", "-serial", "stdio",
                "-global", "driver=cfi.pflash01,property=secure,value=on",
                "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}",
                "-drive", f"if=pflash,format=raw,unit=1,file={folder / 'variables.fd'}",
                "-chardev", f"socket,id=tpmctl,path={socket}", "-tpmdev", "emulator,id=tpm,chardev=tpmctl",
                "-device", "tpm-tis,tpmdev=tpm",
                "-drive", f"if=none,id=disk,format=raw,readonly=on,file=fat:{folder / 'esp'}",
                "-device", "virtio-blk-pci,drive=disk,romfile=",
            ],
            ends=_END,
        )  # fmt: skip
    (folder / "console").write_bytes(said)
    return _ESCAPES.sub(b"", said)


def here(folder: Path, lists: dict[str, bytes]) -> tuple[bytes, list[str]]:
    """What it prints on ours, and why we decided so."""
    lines = ['extends = "q35-tpm"', 'name = "keys"']
    for name, data in lists.items():
        (folder / f"{name}.esl").write_bytes(data)
        lines += [f"[[secure_boot.{name.lower()}]]", f'file = "{name}.esl"']
    (folder / "keys.toml").write_text("\n".join(lines))
    words = ["run", "--disk", folder / "esp", "--platform", folder / "keys.toml", "--json", "--out", folder / "run"]
    done = subprocess.run(
        [sys.executable, "-c", "from shim.cli import main; main()", *map(str, words)], capture_output=True, check=False
    )
    if not done.stdout:
        raise qemu.Failed(f"efi-shim run: {done.stderr.decode(errors='replace').strip()[-500:]}")
    report = json.loads(done.stdout)
    reasons = [each["reason"] for each in report["secure_boot"]["images"][1:]]
    return report["console"].encode(), reasons


def lines_of(said: bytes) -> list[str]:
    """The program's own lines; raises Failed where it did not come to its end."""
    text = said.decode("utf-8", "replace").replace("\r", "")
    _, found, text = text.rpartition("Loading what lies beside.\n")
    if not found or _END.decode() not in text:
        raise qemu.Failed(f"the program did not come to its end: {said[-300:].decode(errors='replace')!a}")
    return [each for each in text.splitlines() if each.startswith(("load ", "action ", "event "))]


def compare(ours: list[str], theirs: list[str], reasons: list[str]) -> tuple[str, bool]:
    """The page, and whether all is equal, but for what has a reason."""
    rows, fine = [], True
    found, other = Found.of(ours), Found.of(theirs)
    for number, case in enumerate(signed_images.CASES):
        name = f"{number:02}.efi"
        fine &= found.statuses[name] == other.statuses[name]
        actions = found.actions.get(name, ""), other.actions.get(name, "")
        # The reason stands in the page's head.
        fine &= actions[0] == actions[1] or (actions[1] == _ACTIONS[0] and bool(actions[0]))
        cells = (_beside(found.statuses[name], other.statuses[name]), _beside(*actions))
        rows.append((case.what, *cells, reasons[number] if number < len(reasons) else ""))
    fine &= found.events == other.events
    measured = [(_event(each), "equal" if each in other.events else "not there") for each in found.events]
    measured += [(_event(each), "there only") for each in other.events if each not in found.events]
    parts = [
        _HEAD,
        table(("image", "LoadImage", "written down", "why, in our words"), rows),
        "## Events\n",
        "Those of PCRs 4 and 7, in their order; what is compared are register, type and SHA-256 digest.\n",
        table(("here", "on OVMF"), measured),
    ]
    if found.events != other.events:
        parts.append("The order is not the same.\n")
    return "\n".join(parts), fine


_HEAD = """# Secure Boot, beside OVMF

`make secure-boot` writes this page. The same images are loaded with the same keys on this firmware and on OVMF in
QEMU, by a program that both trust; keys and images are new each time. Where one value stands, it is that of both.

The firmware writes refused images down in `EFI_IMAGE_EXECUTION_INFO_TABLE`. OVMF leaves the action at *untested* for
images without a signature that it can read, and where db has nothing for one, although it has looked. UEFI 2.10,
section 32.5.3.2, has values for what was found then, and this firmware uses them.
"""


@dataclass
class Found:
    """What the program printed: by image the status, and for those that were refused the action; and the events."""

    statuses: dict[str, str]
    actions: dict[str, str]
    events: list[str]

    @classmethod
    def of(cls, lines: list[str]) -> Found:
        """Of the program's lines. Actions are of the refused images in their order."""
        statuses = {f"{number:02}.efi": "EFI_NOT_FOUND" for number in range(len(signed_images.CASES))}
        statuses |= dict(each.split()[1:] for each in lines if each.startswith("load "))
        actions = [_ACTIONS[int(each.split()[1])] for each in lines if each.startswith("action ")]
        refused = [name for name, status in statuses.items() if status != "EFI_SUCCESS"]
        if len(refused) != len(actions):
            raise qemu.Failed(f"{len(refused)} images were refused, and {len(actions)} are in the table")
        events = [each for each in lines if each.startswith("event ")]
        return cls(statuses, dict(zip(refused, actions, strict=True)), events)


def _beside(one: str, other: str) -> str:
    return one if one == other else f"{one}; on OVMF {other}"


def _event(line: str) -> str:
    _, register, number, _ = line.split()
    return f"PCR {register}, {type_name(int(number, 16))}"


def main() -> int:
    """Make the images, load them on both, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, default=OUTPUT, help="the page")
    parser.add_argument("--keep", type=Path, help="keep images, keys and consoles in this folder")
    options = parser.parse_args()
    tools = all(shutil.which(each) for each in ("qemu-system-x86_64", "swtpm", "sbsign", "openssl"))
    if not tools or not all(map(os.path.isfile, (CODE, LAYOUT))):
        print("install the packages qemu-system-x86 ovmf swtpm sbsigntool", file=sys.stderr)
        return _MISSING
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as kept:
        folder = Path(kept).absolute()
        (folder / "esp" / "EFI" / "BOOT").mkdir(parents=True)
        signed_images.make_keys(folder)
        made = signed_images.make_images(folder, program("program:hello").read_bytes())
        lists = signed_images.databases(folder, made)
        for number, data in enumerate(made):
            (folder / "esp" / f"{number:02}.efi").write_bytes(data)
        loader = signed_images.sign(folder, program("program:load_all").read_bytes(), ("mine",))
        (folder / "esp" / "EFI" / "BOOT" / "BOOTX64.EFI").write_bytes(loader)
        try:
            ours, reasons = here(folder, lists)
            page, equal = compare(lines_of(ours), lines_of(there(folder, lists)), reasons)
        except qemu.Failed as why:
            print(why, file=sys.stderr)
            return 1
    options.output.write_text(page)
    print(f"{len(signed_images.CASES)} images: {'as on OVMF' if equal else 'not as on OVMF'}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
