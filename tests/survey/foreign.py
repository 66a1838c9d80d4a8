"""Runs EFI programs that others made, sees how far each one gets, and writes docs/foreign.csv.

    python tests/survey/foreign.py [--jobs N] [NAME...]

With names, only rows of these are made anew. A program that does not come to what is expected of it makes the survey
fail.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from efi_services.guids import name_of
from efi_services.types import Guid
from payloads import catalogue
from payloads.fetch import fetch
from shim.config.places import cache_folder

COMMAND = str(Path(sys.executable).parent / "efi-shim")
TABLE = Path(__file__).parents[2] / "docs" / "foreign.csv"
COLUMNS = (
    "program", "version", "comes to", "gets there", "outcome", "service calls", "not implemented", "not found",
)  # fmt: skip
MACHINES = {"amd64": "q35", "arm64": "virt-arm64", "i386": "q35-ia32", "riscv64": "virt-riscv64"}
#: What is expected of a program that draws: a screen of more than one colour.
PICTURE = "a picture"
_SECONDS = 900
#: Protocols that a program asked for and did not get, other than by looking for handles of its own devices.
_IN_VAIN = """SELECT DISTINCT arguments ->> 'protocol' AS guid FROM read_parquet(?)
    WHERE service IN ('LocateProtocol', 'HandleProtocol', 'OpenProtocol', 'LocateHandle', 'LocateHandleBuffer')
    AND status IN ('EFI_NOT_FOUND', 'EFI_UNSUPPORTED') AND guid IS NOT NULL ORDER BY guid"""


@dataclass(frozen=True)
class Program:
    """A program of the catalogue; what it *comes to*, and the text on its console that *shows* it.

    *files* are put on a disk: text, or what the catalogue has under a name. *platform* has more of its platform.
    """

    name: str
    comes_to: str
    shows: str
    keys: str = ""
    options: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    blocks: int = 1 << 36
    platform: str = ""


def samples(architecture: str) -> tuple[Program, ...]:
    """The samples of gnu-efi."""
    keys = dict.fromkeys(("t4", "t5", "t7"), "x")
    options = {"AllocPages": "AllocPages.efi 0 2 4", "FreePages": "FreePages.efi 1000 1", "t8": "t8.efi one two"}
    shown = {
        "AllocPages": ("pages that it allocates", "AllocatPage\\(0,2,4,0\\)$"),
        "FreePages": ("pages that it may not free", "Free Pages Failed: 14"),
        "bltgrid": ("a grid, drawn with Blt", PICTURE),
        "ctors_dtors_priority_test": ("constructors and destructors in order", "(?s)1\\).*2\\).*Main.*3\\).*4\\)"),
        "ctors_test": ("constructors and destructors", "dtor\\(\\) constructed_value:0"),
        "drv0": ("a protocol that it installs", "Driver instance loaded successfully"),
        "exit": ("Exit", ""),
        "lfbgrid": ("a grid, drawn in the framebuffer", PICTURE),
        "modelist": ("the graphics modes", "(?m)^\\*3: 1280x800 BGRR pitch 1280"),
        "printenv": ("the variables", "EfiVar +SecureBoot"),
        "route80h": ("no chipset that it knows", "Device not found"),
        "setdbg": ("a variable that it sets", ""),
        "setjmp": ("long jumps", "0 got to be one yay"),
        "t": ("its greeting", "Hello World!"),
        "t2": ("its greeting", "Hello World!"),
        "t3": ("its loaded image", "li->ImageCodeType: +1h"),
        "t4": ("a key", "Hit any key"),
        "t5": ("a key", "Hit any key"),
        "t6": ("its loaded image", "Image size +: "),
        "t7": ("a key", "Hit any key"),
        "t8": ("its arguments", "Argc=3"),
        "tcc": ("calls with up to ten arguments", "10 args works just fine here"),
        "unsetdbg": ("no variable to delete", "Not Found"),
    }
    return tuple(
        Program(f"debian:trixie/gnu-efi-{each}-{architecture}", *told, keys.get(each, ""), options.get(each))
        for each, told in shown.items()
    )


def _is_for_the_machine(sample: Program) -> bool:
    """Whether it depends on the machine most: those are run on each."""
    return re.search("-(bltgrid|lfbgrid|modelist|setjmp|t3|tcc)-", sample.name) is not None


def others(architecture: str) -> tuple[Program, ...]:
    """What amd64 and arm64 both have."""
    shell = f"debian:trixie/shell-{architecture}"
    script = "@echo -off\necho Hello, %1!\nls fs0:\nmap\nmemmap\ndh\n"
    drivers = {
        f"{each}.efi": f"debian:trixie/gnu-efi-{each}-{architecture}" for each in ("drv0", "drv0_use")
    }  # fmt: skip
    loads = "@echo -off\nload fs0:drv0.efi\nfs0:drv0_use.efi\n"
    keys = "<esc>fs0:<enter>{}<enter>exit<enter>"
    return (
        Program(shell, "the end of a script", "(?s)Hello, world!.*FS0:.*Total Memory.*DevicePathToText",
                keys.format("script world"), files={"script.nsh": script}),
        Program(shell, "gnu-efi's driver drv0, loaded, and its user", "(?s)Driver instance loaded.*Hello",
                keys.format("script"), files={"script.nsh": loads, **drivers}),
        Program(shell.replace("trixie", "sid"), "the end of a script", "(?s)Hello, world!.*FS0:.*Total Memory",
                keys.format("script world"), files={"script.nsh": script}),
        Program(f"debian:trixie/ipxe-{architecture}", "its command line", "iPXE> ", "<ctrl-b>exit<enter>"),
        Program(f"debian:sid/ipxe-{architecture}", "its command line", "iPXE> ", "<ctrl-b>exit<enter>"),
        Program(f"debian:trixie/fwupd-{architecture}", "no update to be done", "No updates to process"),
        Program(f"debian:trixie/fwupd-signed-{architecture}", "no update to be done", "No updates to process"),
        Program(f"debian:trixie/systemd-boot-{architecture}", "no file system it came from", "Unable to open root"),
        Program(f"debian:trixie/systemd-stub-{architecture}", "no kernel within it", "lacks \\.linux section"),
        Program(f"debian:trixie/systemd-addon-{architecture}", "its refusal to be started", ""),
    )  # fmt: skip


def memtest(architecture: str) -> Program:
    """The test of memory, which ends by itself only when it is told to. Its measurement of caches takes minutes."""
    name = f"debian:trixie/memtest86-{architecture}"
    # That for i386 reads at 0 behind boot services, by the firmware's page tables.
    platform = '[[memory.reserved]]\nstart = "0"\nsize = "4K"\ntype = "BootServicesData"\n'
    options = "nosmp keyboard=legacy"
    return Program(name, "its screen", PICTURE, options=options, blocks=360_000_000, platform=platform)


PROGRAMS = (
    *others("amd64"),
    *others("arm64"),
    Program("debian:trixie/ipxe-riscv64", "its command line", "iPXE> ", "<ctrl-b>exit<enter>"),
    Program("debian:trixie/ipxe-snponly-amd64", "its command line", "iPXE> ", "<ctrl-b>exit<enter>"),
    *samples("amd64"),
    *(each for architecture in ("arm64", "i386") for each in samples(architecture) if _is_for_the_machine(each)),
    memtest("amd64"),
    memtest("i386"),
    Program("debian:trixie/gnu-efi-debughook-amd64", "no variable that asks for it", ""),
    Program("debian:trixie/gnu-efi-debughook-i386", "no variable that asks for it", ""),
)


def main() -> int:
    """Survey the programs; 1 when one of them did not get to where it should."""
    words = argparse.ArgumentParser(description="run EFI programs that others made, and write docs/foreign.csv")
    words.add_argument("names", nargs="*", metavar="NAME")
    words.add_argument("--jobs", type=int, default=2)
    asked = words.parse_args()
    known = {(row["program"], row["comes to"]): row for row in _read()} if asked.names else {}
    chosen = [each for each in PROGRAMS if not asked.names or each.name in asked.names]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for each, row in zip(chosen, pool.map(_survey, chosen), strict=True):
            known[each.name, each.comes_to] = row
            print(*row.values(), sep="  ", flush=True)
    order = [(each.name, each.comes_to) for each in PROGRAMS]
    rows = [known[key] for key in order if key in known]
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return int(any(row["gets there"] != "yes" for row in rows))


def _survey(program: Program) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        return dict(zip(COLUMNS, _row(program, Path(name)), strict=True))


def _row(program: Program, folder: Path) -> tuple[str, ...]:
    """One program's row; what went wrong stands under outcome."""
    entry = catalogue.find(program.name)
    fetched = fetch(entry, cache=cache_folder())
    done = subprocess.run(_command(program, fetched.path, folder), capture_output=True, text=True, check=False)
    begins = (program.name, fetched.version, program.comes_to)
    if not done.stdout:
        return (*begins, "no", done.stderr.strip(), "", "", "")
    run = json.loads(done.stdout)
    outcome = run["outcome"]
    said = re.sub(r"\x08| (?=\x08)", "", run["console"])
    reached = _colours(folder / "screen.png") > 1 if program.shows == PICTURE else re.search(program.shows, said)
    return (
        *begins,
        "yes" if reached else "no",
        f"{outcome['kind']} {outcome['status'] or outcome['detail']}",
        str(run["calls"]["count"]),
        ", ".join(f"{count}× {each}" for each, count in run["calls"]["unimplemented"].items()),
        ", ".join(sorted(_in_vain(folder / "run"))),
    )


def _command(program: Program, payload: Path, folder: Path) -> list[str]:
    """A run on the machine of the program's architecture, with a screen and a disk."""
    platform = folder / "platform.toml"
    machine = MACHINES[catalogue.find(program.name).architecture]
    platform.write_text(f'extends = "{machine}"\nname = "{machine}-graphics"\n[graphics]\n{program.platform}')
    command = [COMMAND, "run", str(payload), "--trace", "calls", "--json", "--quiet", "--max-seconds", str(_SECONDS)]
    command += ["--max-blocks", str(program.blocks)]
    command += ["--platform", str(platform), "--out", f"{folder}/run", "--screenshot", f"{folder}/screen.png"]
    if program.files:
        (disk := folder / "disk").mkdir()
        for path, content in program.files.items():
            if catalogue.is_name(content):
                (disk / path).write_bytes(fetch(catalogue.find(content), cache=cache_folder()).path.read_bytes())
            else:
                (disk / path).write_text(content)
        command += ["--disk", str(disk)]
    command += ["--keys", program.keys] if program.keys else []
    return [*command, *(["--cmdline", program.options] if program.options is not None else [])]


def _in_vain(run: Path) -> set[str]:
    found = duckdb.connect().execute(_IN_VAIN, [str(run / "calls.parquet")]).fetchall()
    return {name_of(Guid(each)) for (each,) in found}


def _colours(screenshot: Path) -> int:
    """How many colours a picture of ours has."""
    data = screenshot.read_bytes()
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    size = int.from_bytes(data[33:37], "big")
    rows = zlib.decompress(data[41 : 41 + size])
    step = 1 + 3 * width
    pixels = b"".join(rows[at * step + 1 : (at + 1) * step] for at in range(height))
    return len({pixels[at : at + 3] for at in range(0, len(pixels), 3)})


def _read() -> list[dict[str, str]]:
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
