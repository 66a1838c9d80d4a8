"""systemd-pcrlock of Debian 13 judges a real kernel's run: its log, what it came to, and our component files."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import judges
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.log import header
from payloads import catalogue
from shim.config.platform import load_platform
from shim.measure.formats import FORMATS
from ukis import as_kernel, extend

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel

#: What a direct boot measures into.
USED = [0, 1, 2, 3, 4, 5, 6, 7, 9]
PCRS = f"--pcr={'+'.join(map(str, USED))}"


@dataclass(frozen=True)
class Pcrlock:
    """Runs systemd-pcrlock on two logs, with a TPM."""

    command: list[str]
    port: int
    folder: Path
    firmware: Path
    userspace: Path

    def __call__(self, *words: object) -> str:
        # A policy is also put where the machine boots from: it is not this machine that the policy is about.
        boot = self.folder / "boot"
        boot.mkdir(exist_ok=True)
        places = {f"SYSTEMD_{each}_PATH": str(boot) for each in ("ESP", "XBOOTLDR")}
        relaxed = {f"SYSTEMD_RELAX_{each}_CHECKS": "1" for each in ("ESP", "XBOOTLDR")}
        environment = {
            **os.environ,
            **places,
            **relaxed,
            "SYSTEMD_MEASURE_LOG_FIRMWARE": str(self.firmware),
            "SYSTEMD_MEASURE_LOG_USERSPACE": str(self.userspace),
            "SYSTEMD_TPM2_DEVICE": f"swtpm:host=127.0.0.1,port={self.port}",
        }
        done = subprocess.run(
            [*self.command, *map(str, words)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, *words: object):
        return json.loads(self("--json=short", *words))


@pytest.fixture
def pcrlock(debian_root, real_boot, tmp_path):
    """Asks about a run's log."""
    judges.heard("systemd-pcrlock", debian_root.versions["systemd"])
    command = debian_root.command("usr/lib/systemd/systemd-pcrlock")
    (tmp_path / "log").write_bytes(FORMATS["tcg2"].write(real_boot.measured))
    return Pcrlock(command, real_boot.port, tmp_path, tmp_path / "log", tmp_path / "none")


@pytest.fixture
def components(real_boot, tmp_path):
    folder = tmp_path / "components"
    folder.mkdir()
    for name, data in FORMATS["pcrlock"].write(real_boot.measured).items():
        (folder / name).write_bytes(data)
    return folder


def registers(boot):
    return boot.measured.set_of("tpm").registers()


def check(said, boot):
    """What `log` says of each register: the TPM holds what the log comes to, and it is what we say."""
    found = {each["pcr"]: each for each in said["pcrs"]}
    assert len(found) == 24
    assert all(each["hashMatchesEventLog"] for each in found.values())
    for index, values in registers(boot).items():
        for algorithm, value in values.items():
            assert found[index][f"calculated{algorithm.name}"] == value.hex()
            assert found[index][f"observed{algorithm.name}"] == value.hex()
    assert sorted(registers(boot)) == USED
    assert all(each["allEventsMatched"] and each["noMissingComponents"] for each in found.values())


def test_the_tpm_holds_what_the_log_and_the_components_come_to(pcrlock, real_boot, components):
    check(pcrlock.ask("log", f"--components={components}"), real_boot)


def test_it_says_no_where_the_log_is_another(pcrlock, real_boot):
    other = bytearray(pcrlock.firmware.read_bytes())
    event = real_boot.measured.set_of("tpm").events[-1]
    at = other.rindex(event.digests[Algorithm.SHA256])
    other[at] ^= 1
    pcrlock.firmware.write_bytes(other)
    found = {each["pcr"]: each["hashMatchesEventLog"] for each in pcrlock.ask("log")["pcrs"]}
    assert [index for index, same in found.items() if not same] == [event.index]


def test_it_says_no_where_a_component_is_another(pcrlock, components):
    path = components / "650-kernel.pcrlock"
    text = path.read_text()
    digest = json.loads(text)["records"][0]["digests"][1]["digest"]
    path.write_text(text.replace(digest, "0" * 64))
    found = {each["pcr"]: each for each in pcrlock.ask("log", f"--components={components}")["pcrs"]}
    assert [index for index, each in found.items() if not each["allEventsMatched"]] == [4]
    assert [index for index, each in found.items() if not each["noMissingComponents"]] == [4]


def test_it_predicts_the_same_values(pcrlock, real_boot, components):
    said = pcrlock.ask("predict", f"--components={components}", PCRS)
    for algorithm in Algorithm:
        found = {each["pcr"]: each["values"] for each in said[algorithm.label]}
        assert found == {index: [values[algorithm].hex()] for index, values in registers(real_boot).items()}


def test_it_makes_a_policy_of_the_components(pcrlock, real_boot, components, tmp_path):
    pcrlock("make-policy", f"--components={components}", PCRS, f"--policy={tmp_path / 'policy'}")
    assert any((tmp_path / "boot").rglob("*.cred"))
    made = json.loads((tmp_path / "policy").read_text())
    bank = next(each for each in Algorithm if each.label == made["pcrBank"])
    assert {each["pcr"]: each["values"] for each in made["pcrValues"]} == {
        index: [values[bank].hex()] for index, values in registers(real_boot).items()
    }


def test_its_canonical_log_is_ours(pcrlock, real_boot):
    def told(record):
        digests = {each["hashAlg"]: each["digest"] for each in record["digests"]}
        return record["pcr"], digests, record["content_type"], record["content"]

    ours = json.loads(FORMATS["cel-json"].write(real_boot.measured))
    assert [told(each) for each in pcrlock.ask("cel")] == [told(each) for each in ours]
    assert len(ours) == len(real_boot.measured.set_of("tpm").events)


def test_it_takes_systemds_log_for_the_same_boot(pcrlock, real_boot, components):
    pcrlock.firmware.write_bytes(header(tuple(Algorithm)))
    log = FORMATS["systemd"].write(real_boot.measured)
    pcrlock.userspace.write_bytes(log)
    said = pcrlock.ask("log", f"--components={components}")
    ours = [json.loads(each)["content"]["string"] for each in log.split(b"\x1e")[1:]]
    assert [each["description"] for each in said["log"]] == ours
    assert len(ours) == len(real_boot.measured.set_of("tpm").events)
    check(said, real_boot)


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("lock-pe", "650-kernel"),
        ("lock-kernel-cmdline", "710-kernel-cmdline"),
        ("lock-kernel-initrd", "720-kernel-initrd"),
    ],
)
def test_it_makes_the_same_components(verb, name, pcrlock, real_boot, components, tmp_path):
    (tmp_path / "cmdline").write_text(real_boot.cmdline)
    given = {"lock-pe": real_boot.kernel, "lock-kernel-initrd": real_boot.initrd}.get(verb, tmp_path / "cmdline")
    pcrlock(verb, given, f"--pcrlock={tmp_path / 'made'}")
    assert json.loads((tmp_path / "made").read_text()) == json.loads((components / f"{name}.pcrlock").read_text())


def test_it_makes_the_same_components_of_a_unified_kernel_image(debian_root, kernel, command, tmp_path):
    judges.heard("systemd-pcrlock", debian_root.versions["systemd"])
    program = as_kernel(catalogue.program("program:handoff_like-x86_64").read_bytes())
    sections = [(".linux", program), (".osrel", b"ID=debian\n"), (".cmdline", b"quiet"), (".initrd", b"initrd" * 99)]
    image = extend(kernel("debian:trixie/systemd-stub-amd64").data, [*sections, (".uname", b"6.12")])
    (tmp_path / "uki.efi").write_bytes(image)
    # It tells of all banks, and the platform has these.
    text = load_platform("q35").toml + '\n[tpm]\nbanks = ["sha1", "sha256", "sha384", "sha512"]\n'
    (tmp_path / "platform.toml").write_text(text)
    words = ("--platform", "platform.toml", "--trace", "calls", "--quiet", "--out", "run")
    assert command("run", "uki.efi", *words).code == 0
    assert command("measure", "run", "--format", "pcrlock", "-o", "ours").code == 0
    pcrlock = [*debian_root.command("usr/lib/systemd/systemd-pcrlock"), "lock-uki", tmp_path / "uki.efi"]
    subprocess.run([*pcrlock, f"--pcrlock={tmp_path / 'made'}"], check=True, capture_output=True)
    theirs = json.loads((tmp_path / "made").read_text())["records"]
    ours = [json.loads(path.read_text())["records"] for path in sorted((tmp_path / "ours").iterdir())]
    assert [each["pcr"] for each in theirs] == [4, *[11] * 12]
    assert [each for file in ours for each in file if each["pcr"] == 11] == theirs[1:]
    # Of the images in PCR 4, the first is the stub with its sections, and the second the kernel in it.
    assert theirs[0] == json.loads((tmp_path / "ours/650-kernel.pcrlock").read_text())["records"][0]
