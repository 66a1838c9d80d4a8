"""A direct kernel boot on OVMF as its log tells it, and the tools that judge what is written of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
import tomli_w

from efi_services.device_path import END, file_path, vendor_media
from efi_services.guids import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType, image_load_event, tagged_event, variable_data
from efi_services.tcg.registers import mr_of_pcr
from efi_services.types import Guid
from shim.measure.model import Measured, Measurements
from shim.measure.profiles import PROFILES
from shim.trace.folder import open_run
from slrts import BuildSlrt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHA1, SHA256, SHA384, SHA512 = Algorithm
CALLING = b"Calling EFI Application from Boot Option"
EBS = (b"Exit Boot Services Invocation", b"Exit Boot Services Returned with Success")
LOAD_OPTIONS = tagged_event(0x8F3B22ED, b"LOADED_IMAGE::LoadOptions\0")
INITRD = tagged_event(0x8F3B22EC, b"Linux initrd\0")
PATH = vendor_media(Guid("1428f772-b64a-441e-b8c3-9ebdd7f893c7")) + file_path("kernel") + END


def boot(cmdline="console=ttyS0 quiet", initrd=b"initrd", kernel=b"kernel", location=0x7E00_0000, boot_order=b"\0\0"):
    """(PCR, type, what is hashed, data) in EDK2's order."""
    secure = [(GLOBAL_VARIABLE, "SecureBoot", b"\0"), (GLOBAL_VARIABLE, "PK", b""), (GLOBAL_VARIABLE, "KEK", b"")]
    secure += [(IMAGE_SECURITY_DATABASE, "db", b""), (IMAGE_SECURITY_DATABASE, "dbx", b"")]
    for vendor, name, value in secure:
        data = variable_data(vendor, name, value)
        yield 7, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, data, data
    yield 7, EventType.EV_SEPARATOR, bytes(4), bytes(4)
    for name, value in (("BootOrder", boot_order), ("Boot0000", b"\1\0\0\0" + PATH)):
        yield 1, EventType.EV_EFI_VARIABLE_BOOT, value, variable_data(GLOBAL_VARIABLE, name, value)
    yield 4, EventType.EV_EFI_ACTION, CALLING, CALLING
    for pcr in range(7):
        yield pcr, EventType.EV_SEPARATOR, bytes(4), bytes(4)
    data = image_load_event(location, 12_000_000, 0, PATH)
    yield 4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, b"Authenticode of " + kernel, data
    yield 9, EventType.EV_EVENT_TAG, (cmdline + "\0").encode("utf-16-le"), LOAD_OPTIONS
    yield 9, EventType.EV_EVENT_TAG, initrd, INITRD
    for action in EBS:
        yield 5, EventType.EV_EFI_ACTION, action, action


def as_pcrs(events, algorithms, **more) -> Measurements:
    made = tuple(Event(pcr, kind, digests(algorithms, hashed), data) for pcr, kind, hashed, data in events)
    return Measurements("tpm", algorithms, made, **{"unknown": frozenset({0, 2}), **more})


def as_mrs(events, kind="tdx") -> Measurements:
    made = [
        Event(index, each, digests((SHA384,), hashed), data)
        for pcr, each, hashed, data in events
        if (index := mr_of_pcr(pcr))
    ]
    return Measurements(kind, (SHA384,), tuple(made), frozenset({0, 1, 2}))


@pytest.fixture
def boots():
    """Makes the PCRs of a boot; its parts are given by name, the banks as *algorithms*."""

    def make(algorithms=(SHA1, SHA256, SHA384, SHA512), *, model=None, **parts):
        return as_pcrs(boot(**parts), algorithms, **(model or {}))

    return make


@pytest.fixture
def mr_boots():
    return lambda kind="tdx", **parts: as_mrs(boot(**parts), kind)


@pytest.fixture
def wrap():
    """Puts sets of registers into what a run came to."""
    return lambda *sets: Measured("debian:trixie/cloud-amd64", "6.12.107", "ab" * 32, "edk2", tuple(sets))


@pytest.fixture
def measured(boots, mr_boots, wrap):
    """A boot with a TPM and with TDX."""
    return wrap(boots(), mr_boots())


@dataclass(frozen=True)
class Tools:
    """Runs tpm2-tools, in a folder and where it matters with a TPM."""

    folder: Path
    need: Callable[[str], None]
    port: int | None = None

    def at(self, port: int) -> Tools:
        return replace(self, port=port)

    def __call__(self, tool: str, *arguments: object) -> str:
        self.need(tool)
        environment = dict(os.environ)
        if self.port is not None:
            environment["TPM2TOOLS_TCTI"] = f"swtpm:host=127.0.0.1,port={self.port}"
        done = subprocess.run(
            [tool, *map(str, arguments)], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{tool}: {done.stderr}"
        return done.stdout


@pytest.fixture
def tools(tmp_path: Path, need: Callable[[str], None]) -> Tools:
    return Tools(tmp_path, need)


def two_ports() -> int:
    """A free port that is followed by another: tpm2-tools look for the control channel there."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError("no two ports are free")


@contextmanager
def running_swtpm(folder: Path) -> Iterator[int]:
    """Start a TPM, and say on which port; the next one is its control channel."""
    state = folder / "state"
    state.mkdir()
    port = two_ports()
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state},mode=0600"]
    command += ["--server", f"type=tcp,bindaddr=127.0.0.1,port={port}"]
    command += ["--ctrl", f"type=tcp,bindaddr=127.0.0.1,port={port + 1}", "--flags", "not-need-init,startup-clear"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port + 1)) == 0:
                        break
                assert process.poll() is None, "swtpm ended"
                process_wait(process)
            yield port
        finally:
            process.terminate()


@pytest.fixture
def swtpm(tools: Tools, tmp_path: Path) -> Iterator[Tools]:
    """Tools that talk to a TPM which has just started."""
    tools.need("swtpm")
    with running_swtpm(tmp_path) as port:
        yield tools.at(port)


def process_wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(0.02)
    except subprocess.TimeoutExpired:
        return


#: What a machine's owner knows of its firmware: with it, every PCR is known.
FIRMWARE = [
    {"pcr": 0, "type": "EV_S_CRTM_VERSION", "data": "0000"},
    {"pcr": 2, "type": "EV_EFI_BOOT_SERVICES_DRIVER", "data": "00" * 32, "digests": {
        "sha1": "11" * 20, "sha256": "22" * 32, "sha384": "33" * 48, "sha512": "44" * 64,
    }},
]  # fmt: skip


@dataclass(frozen=True)
class Boot:
    """A run of a real kernel whose TPM is an swtpm that still has its PCRs, on *port*."""

    folder: Path
    port: int
    kernel: Path
    initrd: Path
    cmdline: str

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def measured(self) -> Measured:
        return PROFILES["firmware"].measure(open_run(self.run), {})


@pytest.fixture(scope="module")
def real_boot(need, kernel, tmp_path_factory) -> Iterator[Boot]:
    """Debian's kernel, measured into an swtpm on a machine that is otherwise q35-tpm."""
    need("swtpm")
    payload = kernel("debian:trixie/cloud-amd64")
    folder = tmp_path_factory.mktemp("boot")
    with running_swtpm(folder) as port:
        boot = Boot(folder, port, payload.path, folder / "initrd", "console=ttyS0 quiet")
        boot.initrd.write_bytes(b"an initrd" * 1000)
        about = tomllib.loads((files("shim") / "platforms" / "q35-tpm.toml").read_text("utf-8"))
        about["tpm"] = {"swtpm": f"127.0.0.1:{port}", "events": FIRMWARE}
        (folder / "platform.toml").write_text(tomli_w.dumps(about), "utf-8")
        command = [sys.executable, "-c", "from shim.cli import main; main()", "run", payload.path, "--quiet"]
        command += ["--platform", folder / "platform.toml", "--cmdline", boot.cmdline, "--initrd", boot.initrd]
        subprocess.run([*command, "--trace", "calls", "--out", boot.run], check=True)
        yield boot


@pytest.fixture
def extend():
    """Extends events into a TPM, in one call."""

    def into(swtpm: Tools, measurements: Measurements) -> None:
        arguments = [
            f"{event.index}:" + ",".join(f"{each.label}={value.hex()}" for each, value in event.digests.items())
            for event in measurements.events
            if event.extends
        ]
        swtpm("tpm2_pcrextend", *arguments)

    return into


@pytest.fixture(scope="session")
def build_slrt() -> type[BuildSlrt]:
    return BuildSlrt
