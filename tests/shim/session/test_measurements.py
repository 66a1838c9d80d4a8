"""What a run measures: in run.json, in the logs of its folder, and in what the kernel will find."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess

import pytest

from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.registers import replay
from shim.config.platform import load_platform
from shim.handoff import ram_image

INITRD = bytes(range(256)) * 3000
LINE = "console=ttyS0 quiet"
OPTIONS = (LINE + "\0").encode("utf-16-le")
EVENT_LOG = "b7799cb0-eca2-4943-9667-1fae07b747fa"
#: Kernels, and whether their stub knows EFI_CC_MEASUREMENT_PROTOCOL.
KERNELS = {
    "debian:bookworm/cloud-amd64": False,
    "debian:trixie/cloud-amd64": True,
    "debian:trixie-backports/cloud-amd64": True,
}


def platform_file(tmp_path, extra):
    path = tmp_path / "mine.toml"
    path.write_text(load_platform("q35").toml + extra)
    return path


def run(command, tmp_path, payload, platform, *more):
    (tmp_path / "initrd").write_bytes(INITRD)
    done = command(
        "run", payload, "--json", "--trace", "calls", "--out", "run", "--platform", platform, "--cmdline", LINE,
        "--initrd", "initrd", *more,
    )  # fmt: skip
    return done, tmp_path / "run"


def check(folder):
    """Logs, registers and run.json tell the same."""
    report = json.loads((folder / "run.json").read_text())
    about = json.loads((folder / "measurements.json").read_text())
    for each in about["sets"]:
        found = log.decode((folder / each["file"]).read_bytes())
        assert [algorithm.label for algorithm in found.algorithms] == each["algorithms"]
        for index, values in replay(found.events, found.algorithms).items():
            told = each["registers"][str(index)]
            assert told == {algorithm.label: value.hex() for algorithm, value in values.items()}
        where = "pcr" if each["kind"] == "tpm" else "mr"
        mine = [one for one in report["measurements"] if one[where] is not None]
        assert [(one[where], one["digests"]) for one in mine] == [
            (event.index, {algorithm.label: value.hex() for algorithm, value in event.digests.items()})
            for event in found.events
        ]
    return report, {each["kind"]: each for each in about["sets"]}


def by_the_stub(report):
    return {each["description"]: each for each in report["measurements"] if each["type"] == "EV_EVENT_TAG"}


def test_without_a_tpm_nothing_is_measured(command, tmp_path):
    done, folder = run(command, tmp_path, "program:hello", "q35")
    assert json.loads(done.out)["measurements"] == []
    assert not {"measurements.json", "eventlog.bin", "ccel.bin"} & {each.name for each in folder.iterdir()}


def test_a_program_is_measured_by_the_firmware(command, tmp_path):
    done, folder = run(command, tmp_path, "program:hello", "q35-tpm")
    assert done.code == 0
    report, sets = check(folder)
    last = report["measurements"][-1]
    assert (last["pcr"], last["type"], last["call"]) == (4, "EV_EFI_BOOT_SERVICES_APPLICATION", None)
    inspected = json.loads(command("inspect", "program:hello", "--json").out)
    assert last["digests"]["sha256"] == inspected["digests"]["authenticode_sha256"]
    assert (sets["tpm"]["unknown"], sets["tpm"]["truncated"]) == ([0, 2], False)


def test_arm_cca_and_a_tpm_at_once(command, tmp_path):
    platform = platform_file(tmp_path, '\n[tpm]\nbanks = ["sha384"]\n[cc]\nkind = "cca"\nalgorithm = "sha512"\n')
    _, folder = run(command, tmp_path, "program:hello", platform)
    _, sets = check(folder)
    assert {kind: each["algorithms"] for kind, each in sets.items()} == {"tpm": ["sha384"], "cca": ["sha512"]}


def test_the_platforms_own_events(command, tmp_path):
    extra = f"""
[tpm]
banks = ["sha256"]
[[tpm.events]]
pcr = 0
type = "EV_S_CRTM_VERSION"
data = "3100"
[[tpm.events]]
pcr = 2
type = 0x8000000a
digests = {{ sha256 = "{"ab" * 32}" }}
"""
    _, folder = run(command, tmp_path, "program:hello", platform_file(tmp_path, extra))
    report, sets = check(folder)
    first, second, *_ = report["measurements"]
    assert first["digests"]["sha256"] == hashlib.sha256(b"1\0").hexdigest()
    assert (second["pcr"], second["digests"]["sha256"]) == (2, "ab" * 32)
    assert sets["tpm"]["unknown"] == []


@pytest.mark.kernel
@pytest.mark.parametrize("name", KERNELS)
def test_the_stub_measures_its_inputs(name, kernel, command, tmp_path):
    kernel(name)
    _, folder = run(command, tmp_path, name, "q35-tpm", "--dump-ram")
    report, _ = check(folder)
    measured = by_the_stub(report)
    for words, data in (("LOADED_IMAGE::LoadOptions", OPTIONS), ("Linux initrd", INITRD)):
        assert measured[words]["pcr"] == 9
        assert measured[words]["digests"]["sha256"] == hashlib.sha256(data).hexdigest()
    said = [each["description"] for each in report["measurements"][-2:]]
    assert said == ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"]
    # The kernel gets the log as it was before boot services ended.
    whole = log.decode((folder / "eventlog.bin").read_bytes())
    state = json.loads((folder / "handoff" / "state.json").read_text())
    ram = ram_image.of_run(folder)
    table = state["configuration_tables"][EVENT_LOG]
    size, _final, version = struct.unpack("<IIB", ram.read(table, 9))
    copied = ram.read(table + 9, size)
    assert version == 2
    assert copied == log.encode(whole.events[:-2], whole.algorithms)


@pytest.mark.kernel
@pytest.mark.parametrize("name", KERNELS)
def test_the_stub_measures_into_a_trust_domain(name, kernel, command, tmp_path):
    kernel(name)
    _, folder = run(command, tmp_path, name, "q35-tdx")
    report, _ = check(folder)
    measured = by_the_stub(report)
    if not KERNELS[name]:
        assert measured == {}
        return
    assert {words: each["mr"] for words, each in measured.items()} == dict.fromkeys(
        ("LOADED_IMAGE::LoadOptions", "Linux initrd"), 3
    )
    assert measured["Linux initrd"]["digests"] == {"sha384": hashlib.sha384(INITRD).hexdigest()}


@pytest.mark.kernel
def test_the_stub_prefers_the_tpm(kernel, command, tmp_path):
    name = "debian:trixie/cloud-amd64"
    kernel(name)
    _, folder = run(command, tmp_path, name, platform_file(tmp_path, '\n[tpm]\n[cc]\nkind = "tdx"\n'))
    report, _ = check(folder)
    tagged = [each for each in report["measurements"] if each["type"] == "EV_EVENT_TAG"]
    assert [each["pcr"] for each in tagged] == [9, 9]


@pytest.mark.parametrize(("platform", "file"), [("q35-tpm", "eventlog.bin"), ("q35-tdx", "ccel.bin")])
def test_others_read_the_log(command, need, tmp_path, platform, file):
    need("tpm2_eventlog")
    _, folder = run(command, tmp_path, "program:hello", platform)
    told = subprocess.run(["tpm2_eventlog", folder / file], capture_output=True, text=True, check=True).stdout
    (about,) = json.loads((folder / "measurements.json").read_text())["sets"]
    algorithm = Algorithm[about["algorithms"][-1].upper()]
    assert about["registers"]["4" if platform == "q35-tpm" else "2"][algorithm.label] in told
