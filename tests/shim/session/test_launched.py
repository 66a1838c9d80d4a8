"""Dynamic launches, end to end: a program plays the stub; what was simulated is held against what is predicted."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from efi_services.slaunch.preamble import RULES
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.registers import replay
from shim.handoff import ram_image
from shim.measure.profiles import PROFILES
from shim.trace.folder import open_run

FORMS = {"2026": "protocol", "2025": "handler", "2024": "handler"}


@dataclass
class Launched:
    code: int
    err: str
    folder: Path

    @property
    def report(self):
        return json.loads((self.folder / "run.json").read_text())

    @property
    def launch(self):
        return self.report["launch"]

    @property
    def failed(self):
        return {each["rule"]: each["sentence"] for each in self.launch["conditions"] if each["outcome"] == "failed"}

    @property
    def log(self):
        return log.decode((self.folder / "drtm.bin").read_bytes())

    def pcrs(self):
        (found,) = json.loads((self.folder / "measurements.json").read_text())["sets"]
        return {
            int(index): {name: bytes.fromhex(value) for name, value in values.items()}
            for index, values in found["registers"].items()
        }


def _in(banks, digests):
    return {each: digests[each] for each in banks}


@pytest.fixture
def launch(command, tmp_path):
    def run(settings: str = "", mistake: str = "", payload: str = "program:slaunch", *more: str) -> Launched:
        (tmp_path / "lab.toml").write_text(f'extends = "q35-tpm"\nname = "lab"\n[slaunch]\n{settings}\n')
        options = ["--cmdline", mistake] if mistake else []
        done = command("run", payload, "--platform", "lab.toml", "--out", "run", "--quiet", *options, *more)
        return Launched(done.code, done.err, tmp_path / "run")

    return run


@pytest.mark.parametrize("architecture", ["txt", "skinit"])
@pytest.mark.parametrize(
    ("year", "mistake"),
    # Only a stub that finds the table can add to it.
    [*((year, "") for year in FORMS), *((year, "u") for year, form in FORMS.items() if form == "handler")],
)
def test_what_is_measured_is_what_is_predicted(launch, year, architecture, mistake):
    run = launch(f'kernel = "{year}"\narchitecture = "{architecture}"\nprocessors = ["parked"]', mistake)
    assert run.code == 0, run.err
    assert (run.launch["form"], run.launch["launched"], run.failed) == (FORMS[year], True, {})
    launched, *measured = run.log.events
    options = {"kernel": year, "platform": architecture, "slrt": str(run.folder / "slrt.bin")}
    profile = PROFILES["drtm"]
    (predicted,) = profile.build(open_run(run.folder), options).sets
    banks = Algorithm.SHA1, Algorithm.SHA256
    expected = [Event(each.index, each.type, _in(banks, each.digests), each.data) for each in predicted.events]
    assert expected == list(measured)
    # The registers are what that log comes to, on top of zeroes.
    for index, values in replay(run.log.events, banks, dynamic=True).items():
        assert run.pcrs()[index] == {bank.label: value for bank, value in values.items()}
    assert {run.pcrs()[index]["sha256"] for index in (19, 20, 21, 22)} == {bytes(32)}
    if architecture == "skinit":
        # PCR 18 is the kernel's alone there, and PCR 17 is told by what the launch put there.
        options["dce"] = f"sha256:{launched.digests[Algorithm.SHA256].hex()}"
        registers = profile.build(open_run(run.folder), options).sets[0].registers()
        assert {index: values[Algorithm.SHA256] for index, values in registers.items()} == {
            index: run.pcrs()[index]["sha256"] for index in (17, 18)
        }


def test_what_is_launched_is_measured(launch):
    run = launch("", "", "program:slaunch", "--dump-ram")
    dlme = {name: int(value, 16) for name, value in run.launch["dlme"].items()}
    data = ram_image.of_run(run.folder).read(dlme["start"], dlme["end"] - dlme["start"])
    launched = run.log.events[0]
    assert launched.index == 17
    assert launched.type == EventType.TXT_EVTYPE_SLAUNCH
    assert launched.digests == {each: each.digest(data) for each in (Algorithm.SHA1, Algorithm.SHA256)}
    handoff = run.report["handoff"]
    assert (int(handoff["entry"], 16), int(handoff["registers"]["rsi"], 16)) == (dlme["entry"], dlme["table"])


def test_the_conditions_are_verdicts_of_the_handoff(launch):
    run = launch()
    found = {each["rule"]: each for each in json.loads((run.folder / "handoff" / "verdicts.json").read_text())}
    assert {found[rule]["outcome"] for rule in RULES} == {"ok"}


BROKEN = {
    "launch-boot-services": ("", "e", "ExitBootServices has not been called"),
    "launch-tpm-localities": ("locality = 0", "", "locality 0 is still held"),
    "launch-dma": ("dma_protection = false", "", "the platform can't keep devices from memory"),
    "launch-processors": ('processors = ["parked", "running"]', "", "processor 2 runs"),
    "launch-boot-processor": ("boot_processor = false", "", "this is not the boot processor"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_condition_that_is_not_met_is_the_only_one(launch, rule):
    settings, mistake, sentence = BROKEN[rule]
    run = launch(settings, mistake)
    assert run.failed == {rule: sentence}
    assert run.code == 3
    assert run.report["outcome"]["status"] == "EFI_NOT_READY"
    assert not run.launch["launched"]
    assert not (run.folder / "drtm.bin").exists()
    # No launch event: the registers are as they were at power-on.
    assert run.pcrs()[17]["sha256"] == b"\xff" * 32
    (finding,) = [each for each in run.report["findings"] if each["kind"] == "launch-refused"]
    assert finding["first"] == f"{rule}: {sentence}"


@pytest.mark.parametrize(
    ("year", "mistake", "says"),
    [
        ("2026", "n", "nobody has told what to launch"),
        ("2025", "n", "the stub has not told where its boot_params are"),
        ("2026", "h", "there is no MLE header at"),
        ("2025", "h", "payload has no MLE header"),
    ],
)
def test_a_kernel_that_is_not_described(launch, year, mistake, says):
    run = launch(f'kernel = "{year}"\narchitecture = "skinit"', mistake)
    assert run.code == 3
    assert set(run.failed) == {"launch-dlme"}
    assert says in run.failed["launch-dlme"]


def test_a_heap_that_is_not_there(launch):
    run = launch("heap = 0")
    # Without it, nobody has asked for memory to be protected.
    assert run.failed["launch-txt-heap"] == "the platform has none"
    assert set(run.failed) == {"launch-txt-heap", "launch-dma"}


def test_setup_dlme_refuses_what_is_no_kernel(launch):
    run = launch("", "b")
    assert run.code == 3
    assert run.report["outcome"]["status"] == "EFI_INVALID_PARAMETER"
    assert run.launch["conditions"] == []
    (finding,) = [each for each in run.report["findings"] if each["kind"] == "launch-refused"]
    assert "there is no MLE header at" in finding["first"]


def test_a_handler_wants_its_context(launch):
    run = launch('kernel = "2025"', "c")
    assert run.code == 3
    assert "is not the context that DL_INFO has" in run.report["findings"][0]["first"]


def test_without_the_protocol_the_program_just_jumps(command, tmp_path):
    assert command("run", "program:slaunch", "--out", "run", "--quiet").code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["launch"] is None


@pytest.mark.parametrize(
    ("platform", "says"),
    [
        ('extends = "q35"\nname = "lab"\n[slaunch]', "slaunch is for x86_64, with a TPM"),
        ('extends = "virt-arm64-tpm"\nname = "lab"\n[slaunch]', "slaunch is for x86_64, with a TPM"),
        ('extends = "q35-tpm"\nname = "lab"\n[slaunch]\nkernel = "2023"', "slaunch.kernel"),
        ('extends = "q35-tpm"\nname = "lab"\n[slaunch]\nheap = 5000', "slaunch.heap"),
    ],
)
def test_platforms_that_make_no_sense(command, tmp_path, platform, says):
    (tmp_path / "lab.toml").write_text(platform)
    done = command("run", "program:slaunch", "--platform", "lab.toml", "--out", "run")
    assert done.code == 2
    assert says in done.err


@pytest.mark.kernel
@pytest.mark.parametrize("year", ["2026", "2025"])
def test_a_kernel_without_secure_launch_boots_as_ever(launch, kernel, year):
    """Debian's kernels know neither the protocol nor the table: nothing is asked for, and nothing launched."""
    run = launch(f'kernel = "{year}"', "", kernel("debian:bookworm/cloud-amd64").path, "--trace", "calls")
    assert run.code == 0, run.err
    assert run.launch == {
        "kernel": year, "architecture": "txt", "form": FORMS[year], "launched": False, "dlme": None, "conditions": [],
    }  # fmt: skip
    assert run.pcrs()[17]["sha256"] == b"\xff" * 32
    assert "EFI_SLAUNCH_PROTOCOL" not in " ".join(run.report["calls"]["by_name"])
