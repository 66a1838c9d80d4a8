"""Unified kernel images run: stub, measurements, profiles, and the kernel inside to its entry."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pyarrow.parquet as pq
import pytest

from judges import heard
from payloads import Kind, catalogue, identify
from shim.config.platform import DEFAULT_PLATFORMS, load_platform
from ukis import as_kernel, extend, pcr11

AMD64 = [f"debian:{suite}/systemd-stub-amd64" for suite in ("bookworm", "trixie", "sid")]
ARM64 = [each.replace("amd64", "arm64") for each in AMD64]
RISCV64 = [each.replace("amd64", "riscv64") for each in AMD64[1:]]
#: Debian 12's for armhf has no room for sections; that of sid gives the kernel no room behind its image.
ARM = "debian:trixie/systemd-stub-armhf"
I386 = "debian:bookworm/systemd-stub-i386"
MACHINES = {ARM: "arm", I386: "i386"}
MACHINES |= dict.fromkeys(AMD64, "x86_64") | dict.fromkeys(ARM64, "aarch64") | dict.fromkeys(RISCV64, "riscv64")
INNER = {
    "x86_64": "debian:bookworm/cloud-amd64",
    "aarch64": "debian:bookworm/cloud-arm64",
    "riscv64": "debian:trixie/riscv64",
}
#: Debian 12's stub neither knows these sections nor profiles.
NEW = (".uname", ".sbat", ".profile")
OS_RELEASE = b'ID=debian\nPRETTY_NAME="Debian"\n'

pytestmark = pytest.mark.kernel


@pytest.fixture
def platform(tmp_path):
    """The file of a platform with a TPM that has the banks SHA-256 and SHA-384."""

    def write(machine, extra=""):
        text = load_platform(DEFAULT_PLATFORMS[machine]).toml
        path = tmp_path / "platform.toml"
        path.write_text(f'{text}\n{extra}\n[tpm]\nbanks = ["sha256", "sha384"]\n')
        return path

    return write


@pytest.fixture
def run(kernel, command, tmp_path, platform):
    """Runs an image of a stub and sections; gives exit status, what run.json says, and the PCRs by bank."""

    def run_it(stub, sections, *options, extra="", trace="calls"):
        (tmp_path / "uki.efi").write_bytes(extend(kernel(stub).data, sections))
        machine = platform(MACHINES[stub], extra)
        given = ("--platform", machine, "--trace", trace, "--json", "--out", "run", *options)
        done = command("run", "uki.efi", *given)
        (about,) = json.loads((tmp_path / "run" / "measurements.json").read_text())["sets"]
        return done.code, json.loads(done.out), about["registers"]

    return run_it


def program(machine):
    """What stands for the kernel: it leaves boot services and jumps."""
    return as_kernel(catalogue.program(f"program:handoff_like-{machine}").read_bytes())


def measured(stub, payload, *of_profile):
    """The sections that a stub measures of an image, as they lie in memory."""
    image = identify(payload, "uki").image
    found = {}
    for section in image.sections:
        if "bookworm" in stub and section.name in NEW:
            continue
        start = section.raw_offset
        data = payload[start : start + min(section.raw_size, section.virtual_size)]
        found.setdefault(section.name, data.ljust(section.virtual_size, b"\0"))
    return {**found, **dict(of_profile)}


def calls_of(folder):
    return pq.ParquetFile(folder / "calls.parquet").read().to_pylist()


@pytest.mark.parametrize("stub", [*AMD64, *ARM64])
def test_a_stub_measures_and_starts_what_is_inside(stub, run, tmp_path):
    sections = [
        (".linux", program(MACHINES[stub])), (".osrel", OS_RELEASE), (".cmdline", b"console=ttyS0 quiet"),
        (".initrd", b"initrd" * 1000), (".uname", b"6.1.0"), (".pcrsig", b"{}"), (".pcrpkey", b"key"),
    ]  # fmt: skip
    code, report, registers = run(stub, sections)
    assert code == 0
    assert report["payload"]["kind"] == Kind.UKI
    assert report["payload"]["version"] == "6.1.0"
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["findings"] == []
    assert report["calls"]["unimplemented"] == {}
    assert report["console"].endswith("Leaving for the kernel.\n")
    expected = measured(stub, (tmp_path / "uki.efi").read_bytes())
    for bank in ("sha256", "sha384"):
        assert registers["11"][bank] == pcr11(expected, bank).hex()
    # The program inside is an image of its own: it, and nobody else, leaves boot services.
    (leaving,) = (each for each in calls_of(tmp_path / "run") if each["service"] == "ExitBootServices")
    assert leaving["image"] == "child-1"
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert state["entered_from_image"] == "child-1"


@pytest.mark.parametrize(
    ("stub", "inner", "gone"),
    [(ARM, "debian:trixie/armmp", True), (I386, "debian:bookworm/686", False)],
)
def test_stubs_of_32_bits_start_a_kernel(stub, inner, gone, run, kernel, tmp_path):
    """As far as a kernel comes in so many blocks: on Arm it has left boot services, on x86 it unpacks itself before."""
    sections = [(".osrel", OS_RELEASE), (".cmdline", b"quiet"), (".initrd", b"initrd" * 1000)]
    code, report, registers = run(stub, [*sections, (".linux", kernel(inner).data)], "--max-blocks", "2000000")
    assert (code, report["outcome"]["kind"]) == (5, "budget")
    assert (report["payload"]["kind"], report["payload"]["machine"]) == (Kind.UKI, MACHINES[stub])
    assert report["boot_services_exited"] is gone
    assert report["calls"]["unimplemented"] == {}
    expected = measured(stub, (tmp_path / "uki.efi").read_bytes())
    assert registers["11"]["sha256"] == pcr11(expected, "sha256").hex()
    made = [each["service"] for each in calls_of(tmp_path / "run") if each["image"] == "child-1"]
    assert ("SetVirtualAddressMap" if gone else "AllocatePages") in made


def test_load_options_take_the_place_of_the_command_line(run, tmp_path):
    sections = [(".linux", program("x86_64")), (".cmdline", b"quiet")]
    code, _, registers = run(AMD64[1], sections, "--cmdline", "debug")
    assert code == 0
    options = hashlib.sha256("debug\0".encode("utf-16-le")).digest()
    assert registers["12"]["sha256"] == hashlib.sha256(bytes(32) + options).hexdigest()
    assert registers["11"]["sha256"] == pcr11(measured(AMD64[1], (tmp_path / "uki.efi").read_bytes()), "sha256").hex()


@pytest.mark.parametrize("stub", AMD64[1:])
@pytest.mark.parametrize(("words", "options"), [(None, ""), ("@0", ""), ("@1", ""), ("@1 loud", "loud")])
def test_a_profile_is_chosen_by_the_load_options(stub, words, options, run, tmp_path):
    titles = [b"ID=main\nTITLE=Main\n", b"ID=debug\nTITLE=Debug\n"]
    sections = [
        (".linux", program("x86_64")), (".osrel", OS_RELEASE), (".cmdline", b"quiet"),
        (".profile", titles[0]), (".profile", titles[1]), (".cmdline", b"debug"),
    ]  # fmt: skip
    code, report, registers = run(stub, sections, *(("--cmdline", words) if words else ()))
    assert code == 0
    number = 1 if words and words[1] == "1" else 0
    own = [(".profile", titles[number]), (".cmdline", (b"quiet", b"debug")[number])]
    expected = measured(stub, (tmp_path / "uki.efi").read_bytes(), *own)
    for bank in ("sha256", "sha384"):
        assert registers["11"][bank] == pcr11(expected, bank).hex()
    said = [each["description"] for each in report["measurements"] if each["pcr"] == 12]
    assert said == ([str(number)] if number else []) + ([options] if options else [])


@pytest.mark.parametrize(
    ("sections", "status", "words"),
    [
        ([(".linux", b"MZ, but no kernel")], "EFI_LOAD_ERROR", "Bad kernel image"),
        ([(".linux", b"")], "EFI_NOT_FOUND", "lacks .linux"),
        ([(".linux", b"k" * 100_000), (".profile", b"\xff" * 3000), (".initrd", b"")], "EFI_LOAD_ERROR", "Bad kernel"),
    ],
)
@pytest.mark.parametrize("stub", AMD64[1:])
def test_what_is_hostile_ends_in_the_stubs_own_words(stub, sections, status, words, run):
    code, report, _ = run(stub, sections)
    assert (code, report["outcome"]["status"]) == (3, status)
    assert words in report["console"]


@pytest.mark.parametrize(("stub", "code"), [(AMD64[1], 3), (AMD64[2], 0)])
def test_an_initrd_besides(stub, code, run, tmp_path):
    """Debian 13's stub refuses to be one of two that give an initrd; later ones put both together."""
    (tmp_path / "more").write_bytes(b"more")
    sections = [(".linux", program("x86_64")), (".initrd", b"inside")]
    found, report, _ = run(stub, sections, "--initrd", "more")
    assert found == code
    assert report["outcome"]["status"] == ("EFI_ALREADY_STARTED" if code else None)


@pytest.mark.parametrize("stub", [AMD64[1], AMD64[2], ARM64[2], RISCV64[1]])
def test_a_real_kernel_inside_reaches_its_entry(stub, kernel, run, tmp_path):
    """The last stub places the kernel itself; which has no headers in memory then."""
    inner = kernel(INNER[MACHINES[stub]])
    sections = [(".linux", inner.data), (".cmdline", b"console=ttyS0 quiet"), (".initrd", b"i" * 5000)]
    code, report, registers = run(stub, sections)
    assert code == 0
    assert report["findings"] == []
    assert registers["11"]["sha256"] == pcr11(measured(stub, (tmp_path / "uki.efi").read_bytes()), "sha256").hex()
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert state["entered_from_image"] == "child-1"
    assert "console=ttyS0 quiet" in json.dumps(state)
    calls = calls_of(tmp_path / "run")
    # The firmware calls itself where LoadImage asks the hook whether it may.
    asked = {each["image"] for each in calls if each["service"] != "FileAuthentication"}
    assert asked == {"payload", "child-1"}
    assert {each["image"] for each in calls if each["service"] == "ExitBootServices"} == {"child-1"}


def test_ukify_and_the_stub_agree(debian_root, kernel, command, tmp_path, platform):
    """ukify --measure, by systemd-measure, says of an image what the stub then does."""
    (tmp_path / "linux").write_bytes(program("x86_64"))
    (tmp_path / "initrd").write_bytes(b"initrd" * 1000)
    (tmp_path / "os-release").write_bytes(OS_RELEASE)
    measure = tmp_path / "tools" / "systemd-measure"
    measure.parent.mkdir()
    words = " ".join(f"'{word}'" for word in debian_root.command("usr/lib/systemd/systemd-measure"))
    measure.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    measure.chmod(0o755)
    stub = kernel(AMD64[1])
    done = subprocess.run(
        [
            *debian_root.script("usr/bin/ukify"), "build", "--linux=linux", "--initrd=initrd", "--cmdline=quiet",
            "--os-release=@os-release", "--uname=6.1.0", f"--stub={stub.path}", "--efi-arch=x64", "--output=uki.efi",
            "--measure", "--pcr-banks=sha256,sha384", f"--tools={measure.parent}",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    heard("ukify", debian_root.versions["systemd-ukify"])
    heard("systemd-measure", debian_root.versions["systemd"])
    lines = [line.removeprefix("11:").split("=") for line in done.stdout.splitlines() if line.startswith("11:")]
    # The first line of a bank is for when systemd has entered the initrd.
    told = dict(reversed(lines))
    assert set(told) == {"sha256", "sha384"}
    command("run", "uki.efi", "--platform", platform("x86_64"), "--trace", "calls", "--quiet", "--out", "run")
    (about,) = json.loads((tmp_path / "run" / "measurements.json").read_text())["sets"]
    for bank in told:
        entered = hashlib.new(bank, b"enter-initrd").digest()
        stub_left = bytes.fromhex(about["registers"]["11"][bank])
        assert hashlib.new(bank, stub_left + entered).hexdigest() == told[bank]
