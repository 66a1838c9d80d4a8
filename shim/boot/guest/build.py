"""Builds what runs in the guest before the kernel: ``python -m shim.boot.guest.build`` writes ``built/``.

``--check`` compares with what is there. Needs clang and ld.lld, of one version.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
BUILT = SOURCES / "built"
#: Of each architecture: the compiler's flags for assembly, and for C besides; and where the program in the ROM lies.
ARCHITECTURES = {
    "x86_64": ((), ("-mgeneral-regs-only", "-mno-red-zone", "-mcmodel=small"), 0xFFFF_F000),
    # x18 is the platform's, which is to be left alone (UEFI 2.10, section 2.3.6.4).
    "aarch64": ((), ("-mgeneral-regs-only", "-mcmodel=tiny", "-ffixed-x18"), 0),
    "riscv64": (
        ("-march=rv64imafd", "-mabi=lp64d", "-mno-relax"),
        ("-march=rv64ima", "-mabi=lp64", "-mcmodel=medany"),
        0,
    ),
}
_C = (
    "-std=c11", "-Os", "-ffreestanding", "-fno-builtin", "-fpie", "-fno-stack-protector",
    "-fno-ident", "-fno-jump-tables", "-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
PROGRAMS = ("reset", "enter", "runtime")
_DIFFERS, _NO_COMPILER = 1, 12


def build(architecture: str, program: str, folder: Path) -> bytes:
    """One program's bytes."""
    flags, of_c, rom = ARCHITECTURES[architecture]
    if program == "runtime":
        objects = [_compile(architecture, each, (*flags, *of_c), folder) for each in ("services.S", "runtime.c")]
        where = ["-T", str(SOURCES / "runtime.ld")]
    else:
        objects = [_compile(architecture, f"{program}-{architecture}.S", flags, folder)]
        where = [f"-Ttext={rom if program == 'reset' else 0:#x}"]
    made = folder / "made.bin"
    subprocess.run(["ld.lld", *where, "--oformat", "binary", "-o", made, *objects], check=True)
    return made.read_bytes()


def _compile(architecture: str, source: str, flags: tuple[str, ...], folder: Path) -> Path:
    made = folder / f"{source}.o"
    more = _C if source.endswith(".c") else ()
    target = f"--target={architecture}-unknown-none-elf"
    words = ["clang", target, *flags, *more, "-nostdinc", "-I", SOURCES, "-c", SOURCES / source, "-o", made]
    subprocess.run(words, check=True)
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m shim.boot.guest.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="build, and compare with the files there are")
    options = parser.parse_args(arguments)
    differs = False
    try:
        with tempfile.TemporaryDirectory() as temporary:
            for architecture in ARCHITECTURES:
                for program in PROGRAMS:
                    made = build(architecture, program, Path(temporary))
                    path = BUILT / f"{program}-{architecture}.bin"
                    if not options.check:
                        path.write_bytes(made)
                    elif not path.is_file() or path.read_bytes() != made:
                        sys.stdout.write(f"{path.name}: differs\n")
                        differs = True
    except FileNotFoundError:
        sys.stderr.write("clang and ld.lld are needed (Debian: clang, lld)\n")
        return _NO_COMPILER
    except subprocess.CalledProcessError:
        return _DIFFERS
    return _DIFFERS if differs else 0


if __name__ == "__main__":
    sys.exit(main())
