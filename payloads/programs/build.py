"""Builds the programs: ``python -m payloads.programs.build`` writes ``built/``, ``--check`` compares with it.

The same compiler gives the same bytes: no paths, no dates, no debug information. Needs clang and lld-link, of one
version; the version that made the committed files is named in ``built/SHA256SUMS``.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
BUILT = SOURCES / "built"
SUMS = "SHA256SUMS"

EXIT_DIFFERS = 1
EXIT_NO_COMPILER = 12

COMPILE = (
    "-std=c11", "-ffreestanding", "-fshort-wchar", "-nostdlib", "-O2", "-fno-stack-protector", "-fno-ident",
    "-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
LINK = (
    "/entry:efi_main", "/nodefaultlib", "/Brepro", "/debug:none", "/incremental:no", "/nxcompat", "/dynamicbase",
    "/opt:ref", "/WX",
)  # fmt: skip


class BuildError(Exception):
    """A program does not compile or link; the message is the tool's."""


@dataclass(frozen=True)
class Machine:
    """What the compiler and the linker call a machine, and the flags that it alone needs."""

    target: str
    linker: str
    flags: tuple[str, ...] = ()


MACHINES = {
    "x86_64": Machine("x86_64-unknown-windows", "x64", ("-mno-red-zone", "-mgeneral-regs-only")),
    "i386": Machine("i386-unknown-windows", "x86", ("-Os", "-mgeneral-regs-only")),
    # Floating point is not for EFI programs there (2.3.5.3), and firmware may leave it off.
    "arm": Machine("thumbv7-unknown-windows", "arm", ("-Os", "-mfpu=none")),
    "aarch64": Machine("aarch64-unknown-windows", "arm64", ("-Os", "-mgeneral-regs-only")),
}


#: A 32-bit Arm image has another machine number for UEFI than for Windows, which is all that the linker knows.
_WINDOWS_ARM, _UEFI_ARM = (0x1C4).to_bytes(2, "little"), (0x1C2).to_bytes(2, "little")


@dataclass(frozen=True)
class Program:
    """One program: its file's stem, where it comes from, and what it is built with."""

    stem: str
    source: str = ""
    machines: tuple[str, ...] = tuple(MACHINES)
    defines: tuple[str, ...] = ()
    subsystem: str = "efi_application"
    embeds: tuple[str, ...] = ()
    """Programs, earlier in the table, whose images this one's source includes as ``<stem>.inc``."""
    small: bool = False
    """Whether it is large enough that its size comes before its speed."""
    kept: bool = True
    """Whether the image is a file of its own, or only embedded in another."""

    @property
    def path(self) -> Path:
        """The source file."""
        return SOURCES / (self.source or f"{self.stem}.c")

    def file(self, machine: str) -> str:
        """The image's file name."""
        return f"{self.stem}-{machine}.efi"


X86 = ("x86_64", "i386")
#: For programs that show a behaviour of the firmware's that the width of pointers has no part in.
WIDE = ("x86_64", "aarch64")

PROGRAMS = (
    Program("hello"),
    Program("exit_error"),
    Program("return_error", machines=WIDE),
    Program("loop", machines=WIDE),
    Program("call_loop", machines=WIDE),
    Program("eat_memory", machines=WIDE),
    Program("jump_null", "jump.c", defines=("JUMP_TO=0",)),
    Program("jump_wild", "jump.c", defines=("JUMP_TO=UNMAPPED_JUMP",)),
    Program("read_wild"),
    Program("write_code"),
    Program("execute_data"),
    Program("wild_pointer_service"),
    Program("bad_free"),
    Program("stale_key", machines=WIDE),
    Program("exit_events"),
    Program("child", kept=False),
    Program("images", embeds=("child",)),
    Program("driver", subsystem="efi_boot_service_driver"),
    Program("unload", embeds=("driver",)),
    Program("selftest", "selftest/selftest.c", embeds=("child", "driver"), small=True),
    Program("selftest_protocols", "selftest/selftest_protocols.c", embeds=("child",), small=True),
    Program("notify_loop", machines=WIDE),
    Program("stack_overflow"),
    Program("privileged", machines=X86),
    Program("cpu_ud2", "cpu_fault.c", X86, ("FAULT_UD2",)),
    Program("cpu_int3", "cpu_fault.c", X86, ("FAULT_INT3",)),
    Program("cpu_div_zero", "cpu_fault.c", X86, ("FAULT_DIV_ZERO",)),
    Program("cpu_general", "cpu_fault.c", ("x86_64",), ("FAULT_GENERAL",)),
    Program("handoff_like"),
    Program("own_exit", machines=WIDE),
    Program("load_all", machines=("x86_64",)),
    Program("list_files", machines=("x86_64",)),
    Program("lasting", machines=WIDE),
    Program("zboot", machines=("aarch64",)),
    Program("slaunch", machines=("x86_64",)),
    Program("early_code", machines=X86),
    Program("read_unwritten", machines=WIDE),
    Program("use_after_free", machines=WIDE),
    Program("read_nobodys", machines=WIDE),
    Program("after_exit", machines=WIDE),
    Program("patch_code", "memory_attribute.c", X86, ("PATCH_CODE",)),
    Program("execute_allowed_data", "memory_attribute.c", X86, ("EXECUTE_DATA",)),
)


@dataclass(frozen=True)
class Tools:
    """A compiler and a linker of the same version."""

    clang: str
    linker: str
    version: str

    @property
    def major(self) -> int:
        """The version's first number, which decides the bytes."""
        return int(self.version.partition(".")[0])


def recorded_version() -> str:
    """The compiler version that made the committed files, or nothing when there are none."""
    sums = BUILT / SUMS
    text = sums.read_text("utf-8") if sums.is_file() else ""
    found = re.search(r"^# clang (\S+)$", text, re.MULTILINE)
    return found[1] if found else ""


def find_tools() -> Tools | None:
    """Finds clang and lld-link, the recorded version first, then the unversioned names, then the newest."""
    recorded = recorded_version().partition(".")[0]
    suffixes = ["", *(f"-{major}" for major in range(30, 12, -1))]
    if recorded:
        suffixes.insert(0, f"-{recorded}")
    found = []
    for suffix in suffixes:
        clang, linker = shutil.which(f"clang{suffix}"), shutil.which(f"lld-link{suffix}")
        if clang is None or linker is None:
            continue
        said = subprocess.run([clang, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"version (\d+\.\d+\.\d+)", said)
        if version:
            found.append(Tools(clang, linker, version[1]))
    if not found:
        return None
    return next((tools for tools in found if str(tools.major) == recorded), found[0])


def _run(arguments: list[str], where: Path) -> None:
    done = subprocess.run(arguments, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError((done.stdout + done.stderr).strip() or f"{arguments[0]} failed")


def _build(program: Program, machine: str, tools: Tools, where: Path) -> bytes:
    made_for = MACHINES[machine]
    for stem in program.embeds:
        embedded = (where / f"{stem}.efi").read_bytes()
        (where / f"{stem}.inc").write_text(",".join(map(str, embedded)) + "\n", "ascii")
    _run(
        [
            tools.clang, f"--target={made_for.target}", *COMPILE, *made_for.flags,
            *(("-Os",) if program.small else ()), *(f"-D{define}" for define in program.defines),
            "-I", str(where), "-c", str(program.path),
            "-o", f"{program.stem}.obj",
        ],
        where,
    )  # fmt: skip
    _run(
        [
            tools.linker, f"/machine:{made_for.linker}", f"/subsystem:{program.subsystem}", *LINK,
            f"/out:{program.stem}.efi", f"{program.stem}.obj",
        ],
        where,
    )  # fmt: skip
    made = where / f"{program.stem}.efi"
    image = bytearray(made.read_bytes())
    machine_at = int.from_bytes(image[0x3C:0x40], "little") + 4
    if image[machine_at : machine_at + 2] == _WINDOWS_ARM:
        image[machine_at : machine_at + 2] = _UEFI_ARM
        made.write_bytes(image)
    return bytes(image)


def build(tools: Tools) -> dict[str, bytes]:
    """Builds every program for every machine; the contents of ``built/`` by file name."""
    images = {}
    for machine in MACHINES:
        with tempfile.TemporaryDirectory() as temporary:
            for program in PROGRAMS:
                if machine in program.machines:
                    image = _build(program, machine, tools, Path(temporary))
                    if program.kept:
                        images[program.file(machine)] = image
    lines = [f"# clang {tools.version}\n"]
    lines += [f"{hashlib.sha256(images[name]).hexdigest()}  {name}\n" for name in sorted(images)]
    return {SUMS: "".join(lines).encode("ascii"), **images}


def differences(files: dict[str, bytes]) -> list[str]:
    """What is in ``built/`` and is not so in ``files``, or the other way round; one line each.

    The comment lines of the checksums don't count: another compiler that makes the same images is as good.
    """
    present = {path.name for path in BUILT.iterdir()} if BUILT.is_dir() else set()
    lines = []
    for name in sorted(present | files.keys()):
        if name not in present:
            lines.append(f"{name}: missing")
        elif name not in files:
            lines.append(f"{name}: not made by any program")
        elif _plain(name, (BUILT / name).read_bytes()) != _plain(name, files[name]):
            lines.append(f"{name}: differs")
    return lines


def _plain(name: str, content: bytes) -> bytes:
    if name != SUMS:
        return content
    return b"".join(line for line in content.splitlines(keepends=True) if not line.startswith(b"#"))


def _write(files: dict[str, bytes]) -> None:
    BUILT.mkdir(exist_ok=True)
    for path in BUILT.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (BUILT / name).write_bytes(content)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m payloads.programs.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="build, and compare with the files there are")
    options = parser.parse_args(arguments)
    tools = find_tools()
    if tools is None:
        sys.stderr.write("clang and lld-link are needed to build the programs (Debian: clang, lld)\n")
        return EXIT_NO_COMPILER
    try:
        files = build(tools)
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_DIFFERS
    if not options.check:
        _write(files)
        sys.stdout.write(f"{len(files) - 1} programs, clang {tools.version}\n")
        return 0
    lines = differences(files)
    if lines and recorded_version() != tools.version:
        lines.append(f"built with clang {tools.version}, the files are from {recorded_version() or 'nowhere'}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return EXIT_DIFFERS if lines else 0


if __name__ == "__main__":
    sys.exit(main())
