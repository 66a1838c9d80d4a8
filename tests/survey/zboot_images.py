"""EFI zboot images as Linux's own makefiles make them, around kernels as Debian ships them.

Debian builds none that can be run here, but it has the source of every kernel that it ships. So the unpacker and what
links it are built from the source of that same version, by its own rules and with Debian's configuration, but for the
options that make a zboot image; the kernel within is Debian's own, byte by byte. They are kept in the user's cache.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from packages import files
from payloads import catalogue, identify
from payloads.apt import Package, PrivateApt
from payloads.fetch import fetch
from payloads.mirrors import debian_sources
from shim.config.places import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payloads.fetch import Fetched

#: What drivers/firmware/efi/Kconfig offers for zboot images in 6.1, and what it has been cut down to since.
ALL_FORMS = ("gzip", "lzma", "lzo", "xz", "lz4", "zstd")
LATER_FORMS = ("gzip", "zstd")
_TOOLS = (
    "make", "flex", "bison", "bc", "perl", "openssl", "hexdump", "dpkg-deb", "tar", "xz", "lzma", "lzop", "lz4", "zstd",
)  # fmt: skip
_LLVM = ("clang", "ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy")
#: The oldest that Linux 7 can be built with, and a number that no newest has yet.
_OLDEST_LLVM, _BEYOND_LLVM = 15, 40
_JOBS = 2
_MACHINES = {"arm64": ("arm64", "aarch64-linux-gnu"), "riscv64": ("riscv", "riscv64-linux-gnu")}
#: A stand-in for the whole kernel: what Linux's makefile takes the image out of, and the size of its code.
_STAND_IN = '.globl _kernel_codesize\n.set _kernel_codesize, {code}\n.section .text, "ax"\n.incbin "{image}"\n'


class BuildError(Exception):
    """An image can't be built; says which step failed, and how."""


@dataclass(frozen=True)
class Built:
    """A zboot image: the kernel within by its name in the catalogue, and the versions of that and of the source."""

    kernel: str
    version: str
    source: str
    form: str
    path: Path


def missing() -> list[str]:
    """What is not installed."""
    found = [each for each in _TOOLS if shutil.which(each) is None]
    return found if _llvm_suffix() is not None else [*found, f"clang, lld and llvm {_OLDEST_LLVM} or later"]


@cache
def _llvm_suffix() -> str | None:
    """What stands behind the names of the newest LLVM's programs: "-19", or nothing; None without one."""
    for suffix in (*(f"-{version}" for version in range(_BEYOND_LLVM, _OLDEST_LLVM - 1, -1)), ""):
        if all(shutil.which(each + suffix) for each in _LLVM):
            said = subprocess.run([f"clang{suffix}", "-dumpversion"], capture_output=True, text=True, check=True).stdout
            return suffix if int(said.partition(".")[0]) >= _OLDEST_LLVM else None
    return None


def build(suite: str, flavours: tuple[str, ...], forms: tuple[str, ...]) -> Iterator[Built]:
    """The images of a suite's kernels, each as soon as it is there: out of the cache, or built.

    Raises:
        MissingPart: a package can't be had.
        BuildError: a step failed.
    """
    source = _newest_source(suite)
    store = cache_folder().absolute() / "zboot"
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=".building-") as building:
        tree: Path | None = None
        for flavour in flavours:
            entry = catalogue.find(f"debian:{suite}/{flavour}")
            kernel = fetch(entry, cache=cache_folder(), progress=print)
            configured: _Tree | None = None
            for form in forms:
                path = store / f"{source.sha256}-{kernel.sha256}" / f"{form}.efi"
                if not path.is_file():
                    if configured is None:
                        tree = tree or _unpack(suite, source, Path(building))
                        configured = _Tree(tree, Path(building) / flavour, entry, kernel)
                    path.parent.mkdir(exist_ok=True)
                    configured.link(form).replace(path)
                yield Built(entry.name, kernel.version, source.version, form, path)


class _Tree:
    """A source tree that is configured as Debian's kernel is, with that kernel in the place of what it would build."""

    def __init__(self, tree: Path, objects: Path, entry: catalogue.Entry, kernel: Fetched) -> None:
        self._arch, target = _MACHINES[entry.architecture]
        self._tree, self._objects, self._image = tree, objects, kernel.path
        suffix = _llvm_suffix()
        self._make_words = ["make", "-s", f"-j{_JOBS}", f"ARCH={self._arch}", f"LLVM={suffix or 1}", f"O={objects}"]
        # An image for a machine is made of the whole kernel, which is there already.
        makefile = tree / "arch" / self._arch / "Makefile"
        rules, changed = re.subn(
            r"^(\$\(BOOT_TARGETS\)|Image vmlinuz\.efi): vmlinux$", r"\1:", makefile.read_text(), flags=re.MULTILINE
        )
        if changed:
            makefile.write_text(rules)
        objects.mkdir()
        (objects / ".config").write_bytes(_configuration(entry, kernel))
        self._configure("--enable", "EFI_ZBOOT")
        self._make("prepare")
        self._stand_in(f"clang{suffix}", target)

    def link(self, form: str) -> Path:
        """The image whose kernel is packed in a form."""
        off = [word for each in ALL_FORMS if each != form for word in ("--disable", f"KERNEL_{each.upper()}")]
        self._configure(*off, "--enable", f"KERNEL_{form.upper()}")
        if f"CONFIG_KERNEL_{form.upper()}=y" not in (self._objects / ".config").read_text().splitlines():
            raise BuildError(f"this kernel's configuration has no zboot image with {form}")
        self._make("drivers/firmware/efi/libstub/")
        self._make("vmlinuz.efi")
        boot = self._objects / "arch" / self._arch / "boot"
        if (boot / "Image").read_bytes() != self._image.read_bytes():
            raise BuildError("the kernel within is not Debian's")
        return boot / "vmlinuz.efi"

    def _configure(self, *words: str) -> None:
        _do([self._tree / "scripts/config", "--file", self._objects / ".config", *words], self._tree)
        self._make("olddefconfig")

    def _make(self, what: str) -> None:
        _do([*self._make_words, what], self._tree)

    def _stand_in(self, compiler: str, target: str) -> None:
        """Make the file that the image is taken out of."""
        image = identify(self._image.read_bytes(), "Image").image
        code = next(each for each in image.sections if each.executable)
        text = _STAND_IN.format(code=code.virtual_address + code.virtual_size, image=self._image)
        source = self._objects / "stand-in.S"
        source.write_text(text)
        _do([compiler, f"--target={target}", "-c", source, "-o", "vmlinux"], self._objects)


def _newest_source(suite: str) -> Package:
    apt = _apt(suite)
    with apt.locked(print):
        if not apt.updated:
            apt.refresh(print)
        return apt.newest(r"linux-source-\d+\.\d+")


def _unpack(suite: str, source: Package, into: Path) -> Path:
    """Fetch a package of Linux's source, which apt checks, and unpack the tree within."""
    apt, tree = _apt(suite), into / "linux"
    with apt.locked(print):
        deb = apt.download(source, into)
    tree.mkdir()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as package:
        words = ["tar", "--extract", "--to-stdout", "--wildcards", "./usr/src/linux-source-*.tar.xz"]
        with subprocess.Popen(words, stdin=package.stdout, stdout=subprocess.PIPE) as archive:
            _do(["tar", "--extract", "--xz", "--strip-components=1"], tree, stdin=archive.stdout)
    return tree


def _apt(suite: str) -> PrivateApt:
    """The source is for all architectures: any one's index lists it."""
    folder = cache_folder().absolute() / "apt" / f"{suite}-arm64"
    return PrivateApt(folder, suite, "arm64", debian_sources())


def _configuration(entry: catalogue.Entry, kernel: Fetched) -> bytes:
    """What Debian has configured the kernel with: since 6.19 in a package of its own."""
    apart = kernel.package.startswith("linux-binary-")
    package = kernel.package.replace("linux-binary-", "linux-base-")
    name = "config" if apart else "config-*"
    (found,) = files(entry.suite, entry.architecture, re.escape(package), (name,), cache_folder())
    return found


def _do(words: list[object], folder: Path, **given: object) -> None:
    done = subprocess.run(
        list(map(str, words)), cwd=folder, check=False, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, **given
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-8:]
        raise BuildError(f"{' '.join(map(str, words))}: {' / '.join(said)}")
