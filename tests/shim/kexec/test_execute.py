"""Chains of runs, end to end: a program plays the kernels, and real ones after it."""

import hashlib
import json
import shutil
import struct
import tomllib

import pytest
import tomli_w

from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm
from shim.config.platform import load_platform
from shim.handoff import ram_image
from shim.measure.ima_list import Entry, boot_aggregate, decode, pcr_10, read_buffer

PROGRAM = "program:slaunch"
STATE, MEASURED = "handoff/state.json", "measurements.json"
REBOOT = "fall back to a regular reboot"


def report(folder):
    return json.loads((folder / "run.json").read_text())


def pcrs(folder):
    (found,) = json.loads((folder / "measurements.json").read_text())["sets"]
    return {int(index): bytes.fromhex(values["sha256"]) for index, values in found["registers"].items()}


@pytest.fixture
def first(command, tmp_path):
    """A run that another can follow."""
    (tmp_path / "lab.toml").write_text('extends = "q35-tpm"\nname = "lab"\n[slaunch]\n')
    assert command("run", PROGRAM, "--platform", "lab.toml", "--dump-ram", "--quiet", "--out", "one").code == 0
    return tmp_path / "one"


def follow(command, run, out, *options):
    return command("kexec", run, PROGRAM, "--quiet", "--out", out, *options)


def test_a_chain_of_three(command, first, tmp_path):
    runs = [first]
    for name in ("two", "three"):
        done = follow(command, runs[-1], name, "--dump-ram")
        assert done.code == 0, done.err
        runs.append(tmp_path / name)
    reports = list(map(report, runs))
    assert [len(each["chain"]) for each in reports] == [0, 1, 2]
    assert [each["memory_digest"] for each in reports[2]["chain"]] == [each["memory"]["digest"] for each in reports[:2]]
    previous = []
    for before, run, told in zip(runs[:-1], runs[1:], reports[1:], strict=True):
        ima = told["kexec"]["ima"]
        address = int(ima["address"], 16)
        # The list lies where the kernel is told, whole: what was handed over before, and one entry more.
        entries = read_buffer(ram_image.of_run(run).read(address, ima["size"]))
        assert entries[: len(previous)] == previous
        assert len(entries) == len(previous) + 1 == ima["entries"]
        values = pcrs(before)
        aggregate = hashlib.sha256(b"".join(values[index] for index in range(10))).digest()
        assert entries[-1] == boot_aggregate(Algorithm.SHA256, aggregate)
        # SETUP_IMA is the last link, behind the program's own.
        state = json.loads((run / "handoff" / "state.json").read_text())
        assert [each["type"] for each in state["boot_params"]["setup_data"]] == ["RNG_SEED", "IMA"]
        node = state["boot_params"]["setup_data"][-1]["address"]
        assert ram_image.of_run(run).read(node, 32) == struct.pack("<QIIQQ", 0, 8, 16, address, ima["size"])
        # The TPM was not reset: PCR 10 is what the list comes to, the others are as they were.
        assert pcrs(run)[10] == pcr_10(entries, (Algorithm.SHA256,))[Algorithm.SHA256]
        assert ima["pcr_10"]["sha256"] == pcrs(run)[10].hex()
        assert {index: value for index, value in pcrs(run).items() if index != 10} == {
            index: value for index, value in values.items() if index != 10
        }
        assert log.decode((run / "eventlog.bin").read_bytes()) == log.decode((before / "eventlog.bin").read_bytes())
        previous = entries


def test_the_segments_are_what_purgatory_checks(command, first, tmp_path):
    (tmp_path / "initrd").write_bytes(b"cpio" * 1000)
    assert follow(command, first, "two", "--initrd", "initrd", "--cmdline", "x").code == 0
    told = report(tmp_path / "two")["kexec"]
    assert [(each["name"], each["size"], each["memory_size"]) for each in told["segments"]][1:] == [
        ("initrd", 4000, 4096), ("command line", 1, 4096),
    ]  # fmt: skip
    from payloads import catalogue

    kernel = catalogue.program(PROGRAM).read_bytes()
    padded = [each.ljust(-(-len(each) // 4096) * 4096, b"\0") for each in (kernel, b"cpio" * 1000, b"x")]
    assert told["sha256"] == hashlib.sha256(b"".join(padded)).hexdigest()
    assert {each["outcome"] for each in told["conditions"]} == {"ok"}


def test_loading_and_executing_are_two_steps(command, first, tmp_path):
    assert follow(command, first, "two").code == 0
    assert command("kexec", first, PROGRAM, "--load", "--quiet").code == 0
    assert command("kexec", first, "--quiet", "--out", "later").code == 0
    one, other = report(tmp_path / "two"), report(tmp_path / "later")
    assert {**one, "timing": None} == {**other, "timing": None}


def change(path, at=100):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def list_of_one(tmp_path):
    data = b"\5\0\0\0hello"
    (tmp_path / "list").write_bytes(Entry(hashlib.sha1(data).digest(), "ima-buf", data).encode())
    return "list"


def test_a_list_of_the_users_own(command, first, tmp_path):
    assert follow(command, first, "two", "--ima-list", list_of_one(tmp_path)).code == 0
    entries = read_buffer((tmp_path / "two" / "ima.bin").read_bytes())
    assert entries == decode((tmp_path / "list").read_bytes())
    assert pcrs(tmp_path / "two")[10] == pcr_10(entries, (Algorithm.SHA256,))[Algorithm.SHA256]


def refusal(command, run, tmp_path):
    done = command("kexec", run, "--quiet", "--out", "later")
    assert done.code == 1
    assert not (tmp_path / "later").exists()
    (line,) = done.err.strip().splitlines()
    assert line.endswith(REBOOT)
    rules = ("kexec-segments", "kexec-follows", "kexec-list", "kexec-pcr-10")
    return [each for each in rules if f"{each}:" in line], line


@pytest.mark.parametrize("name", ["kernel", "command line"])
def test_a_byte_of_a_segment_changed(command, first, tmp_path, name):
    assert command("kexec", first, PROGRAM, "--cmdline", "x" * 200, "--load", "--quiet").code == 0
    change(first / "kexec" / name)
    rules, line = refusal(command, first, tmp_path)
    assert rules == ["kexec-segments"]
    assert "the segments' SHA-256 is" in line


def test_loaded_in_another_run(command, first, tmp_path):
    assert command("kexec", first, PROGRAM, "--load", "--quiet").code == 0
    assert (
        command(
            "run", PROGRAM, "--platform", "lab.toml", "--seed", "7", "--cmdline", "x y z", "--quiet", "--out", "b"
        ).code
        == 0
    )
    shutil.copytree(first / "kexec", tmp_path / "b" / "kexec")
    changed = report(tmp_path / "b")
    changed["memory"]["digest"] = "0" * 64
    (tmp_path / "b" / "run.json").write_text(json.dumps(changed))
    rules, _ = refusal(command, tmp_path / "b", tmp_path)
    assert rules == ["kexec-follows"]


def test_a_list_with_another_entry(command, first, tmp_path):
    """Whole in itself, but not what PCR 10 has to equal."""
    assert command("kexec", first, PROGRAM, "--load", "--quiet").code == 0
    assert command("run", PROGRAM, "--platform", "lab.toml", "--quiet", "--out", "b").code == 0
    assert command("kexec", "b", PROGRAM, "--load", "--ima-list", list_of_one(tmp_path), "--quiet").code == 0
    shutil.copy(tmp_path / "b" / "kexec" / "ima", first / "kexec" / "ima")
    rules, line = refusal(command, first, tmp_path)
    assert rules == ["kexec-pcr-10"]
    assert "and has to equal" in line


def test_a_list_that_is_damaged(command, first, tmp_path):
    assert command("kexec", first, PROGRAM, "--load", "--quiet").code == 0
    change(first / "kexec" / "ima", 90)
    rules, line = refusal(command, first, tmp_path)
    assert rules == ["kexec-list"]
    assert "not that of its data" in line


def test_a_list_that_forgets_what_was_handed_over(command, first, tmp_path):
    assert follow(command, first, "two").code == 0
    done = follow(command, "two", "three", "--ima-list", list_of_one(tmp_path))
    assert done.code == 1
    assert "kexec-list: the measurement list does not begin with the 1 entries" in done.err


def test_a_register_that_is_not_what_the_earlier_list_comes_to(command, first, tmp_path):
    assert follow(command, first, "two").code == 0
    path = tmp_path / "two" / "measurements.json"
    told = json.loads(path.read_text())
    told["sets"][0]["registers"]["10"]["sha256"] = "00" * 32
    path.write_text(json.dumps(told))
    done = follow(command, "two", "three")
    assert done.code == 1
    assert "kexec-pcr-10: PCR 10 is not what the list comes to that was handed over before" in done.err


def test_without_a_tpm_there_is_no_register(command, tmp_path):
    assert command("run", PROGRAM, "--quiet", "--out", "one").code == 0
    assert follow(command, "one", "two").code == 0
    told = report(tmp_path / "two")["kexec"]
    assert {each["rule"]: each["outcome"] for each in told["conditions"]}["kexec-pcr-10"] == "not-applicable"
    assert told["ima"]["pcr_10"] == {}


def test_registers_of_a_launch_stay_unless_it_is_done_again(command, first, tmp_path):
    assert follow(command, first, "kept").code == 0
    assert report(tmp_path / "kept")["launch"] is None
    assert pcrs(tmp_path / "kept")[18] == pcrs(first)[18] != b"\xff" * 32
    assert follow(command, first, "again", "--relaunch").code == 0
    again = report(tmp_path / "again")
    assert again["launch"]["launched"]
    # A link without a launch may lie between.
    assert follow(command, "kept", "later", "--relaunch").code == 0
    assert report(tmp_path / "later")["launch"]["launched"]
    # The same is launched, and its boot_params lead to the measurement list now.
    assert pcrs(tmp_path / "again")[18] != pcrs(first)[18]
    (measured,) = [each for each in again["measurements"] if each["description"] == "dynamic launch"]
    assert pcrs(tmp_path / "again")[10] == pcrs(tmp_path / "kept")[10]
    assert measured["pcr"] == 17


def test_variables_stay(command, tmp_path):
    """The program writes none; the platform's own are there still, and nothing came twice."""
    vendor = "3c1ad2f6-1c0b-4f6b-9d5e-6a7f8a6f2d10"
    variable = f'[[variables]]\nname = "Mine"\nvendor = "{vendor}"\ndata = "cafe"\n'
    (tmp_path / "lab.toml").write_text(f'extends = "q35-tpm"\nname = "lab"\n{variable}')
    assert command("run", PROGRAM, "--platform", "lab.toml", "--quiet", "--out", "one").code == 0
    assert follow(command, "one", "two").code == 0
    one, two = (
        json.loads((tmp_path / each / "handoff/state.json").read_text())["variables"] for each in ("one", "two")
    )
    assert one == two
    assert [each["data"] for each in one if each["name"] == "Mine"] == ["cafe"]


def _rename_bank(told, old, new):
    for values in told["sets"][0]["registers"].values():
        values[new] = "00" * 64
        del values[old]


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        (STATE, lambda told: told.pop("variables"), "damaged"),
        (STATE, lambda told: told["variables"][0].update(moment=[1]), "damaged"),
        (STATE, lambda told: told["variables"][0].update(data="0" * (4 << 20)), "more than firmware has room for"),
        (STATE, lambda told: told["configuration_tables"].update(x=1), "damaged"),
        (MEASURED, lambda told: told["sets"][0]["registers"]["3"].update(sha1="00"), "damaged"),
        (MEASURED, lambda told: told["sets"][0]["registers"].update({"99": {}}), "damaged"),
        (MEASURED, lambda told: told["sets"][0]["registers"].pop("10"), "damaged"),
        (MEASURED, lambda told: told["sets"][0]["registers"].clear(), "damaged"),
        (MEASURED, lambda told: told["sets"].clear(), "other registers than the platform's"),
        (MEASURED, lambda told: _rename_bank(told, "sha256", "sha512"), "other registers than the platform's"),
        (MEASURED, lambda told: told["sets"][0].pop("kind"), "damaged"),
        (MEASURED, lambda told: told["sets"][0].update(kind="../x"), "damaged"),
    ],
)
def test_a_folder_that_is_damaged(command, first, file, damage, says):
    told = json.loads((first / file).read_text())
    damage(told)
    (first / file).write_text(json.dumps(told))
    done = follow(command, first, "two")
    assert done.code == 10
    assert f"{file}: {says}" in done.err


def test_another_platform(command, first):
    path = first / "platform.toml"
    path.write_text(path.read_text().replace("westmere", "nehalem"))
    done = follow(command, first, "two")
    assert done.code == 10
    assert "not the platform that run.json tells of" in done.err


def test_an_swtpm_is_not_in_the_folder(command, first):
    path = first / "platform.toml"
    settings = tomllib.loads(path.read_text())
    settings["tpm"] = {"swtpm": "127.0.0.1:2321"}
    path.write_text(tomli_w.dumps(settings))
    told = report(first)
    told["platform"]["sha256"] = load_platform(str(path)).sha256
    (first / "run.json").write_text(json.dumps(told))
    done = follow(command, first, "two")
    assert (done.code, "its TPM was an swtpm" in done.err) == (2, True), done.err


def test_a_log_that_is_damaged(command, first):
    change(first / "eventlog.bin", 40)
    done = follow(command, first, "two")
    assert done.code == 10
    assert "eventlog.bin" in done.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nowhere", PROGRAM), 10, "is this a run folder?"),
        (("hello", PROGRAM), 2, "a kernel can follow a kernel only"),
        (("one",), 10, "nothing is loaded there"),
        (("one", "--load"), 2, "give a KERNEL to load"),
        (("one", PROGRAM, "--relaunch"), 2, "nothing to launch a kernel dynamically with"),
        (("one", PROGRAM, "--ima-list", "one/run.json"), 10, "the measurement list: offset 0x0"),
        (("one", PROGRAM, "--trace", "some"), 2, "give calls or exact"),
        (("one", "program:hello-aarch64"), 11, "is for aarch64"),
    ],
)
def test_words_that_make_no_sense(command, words, code, says):
    assert command("run", "program:hello", "--quiet", "--out", "hello").code == 0
    assert command("run", PROGRAM, "--quiet", "--out", "one").code == 0
    done = command("kexec", *words, "--out", "other")
    assert (done.code, says in done.err) == (code, True)


def test_a_kernel_without_boot_params_is_not_started(command, first, tmp_path):
    done = command("kexec", first, "program:handoff_like", "--quiet", "--out", "two")
    assert done.code == 1
    assert "the measurement list can't be handed over" in report(tmp_path / "two")["outcome"]["detail"]


def test_a_link_is_not_done_again_alone(command, first):
    assert follow(command, first, "two", "--trace", "exact").code == 0
    done = command("replay", "two")
    assert done.code == 2
    assert "it follows another run by kexec" in done.err


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("kernel_name", "platform"),
    [("debian:bookworm/cloud-amd64", "q35-tpm"), ("debian:trixie/cloud-arm64", "virt-arm64-tpm")],
)
def test_a_chain_of_three_kernels(command, kernel, tmp_path, kernel_name, platform):
    path = kernel(kernel_name).path
    words = ("--platform", platform, "--trace", "calls")
    assert command("run", path, *words, "--dump-ram", "--quiet", "--cmdline", "first", "--out", "one").code == 0
    for before, name in (("one", "two"), ("two", "three")):
        done = command("kexec", before, path, "--cmdline", name, "--dump-ram", "--quiet", "--out", name)
        assert done.code == 0, done.err
        told = report(tmp_path / name)
        ima, state = told["kexec"]["ima"], json.loads((tmp_path / name / "handoff/state.json").read_text())
        address = int(ima["address"], 16)
        data = ram_image.of_run(tmp_path / name).read(address, ima["size"])
        assert data == (tmp_path / name / "ima.bin").read_bytes()
        if "amd64" in kernel_name:
            node = next(each["address"] for each in state["boot_params"]["setup_data"] if each["type"] == "IMA")
            assert ram_image.of_run(tmp_path / name).read(node + 16, 16) == struct.pack("<QQ", address, ima["size"])
        else:
            assert (
                state["device_tree"]["chosen"]["linux,ima-kexec-buffer"]
                == struct.pack(">QQ", address, ima["size"]).hex()
            )
        # Nothing but the stub has measured; its events are behind those that were left.
        assert {each["description"] for each in told["measurements"]} == {"LOADED_IMAGE::LoadOptions"}
        events = log.decode((tmp_path / name / "eventlog.bin").read_bytes()).events
        left = log.decode((tmp_path / before / "eventlog.bin").read_bytes()).events
        assert events[: len(left)] == left
        assert len(events) == len(left) + 1
        verdicts = json.loads((tmp_path / name / "handoff/verdicts.json").read_text())
        assert not [each for each in verdicts if each["outcome"] == "failed"]
        # The seed of random numbers goes on, since its memory lasts.
        assert not any("RANDOM_SEED" in each for each in told["kexec"]["left_behind"])
        assert any("TPM_EVENT_LOG" in each for each in told["kexec"]["left_behind"])
    assert [each["payload"]["name"] for each in report(tmp_path / "three")["chain"]] == [path.name] * 2


def test_the_disks_are_there_again_where_they_are_given(command, tmp_path):
    (tmp_path / "esp").mkdir()
    (tmp_path / "esp/motd").write_text("hello")
    made = command("run", PROGRAM, "--platform", "q35-tpm", "--disk", "esp", "--dump-ram", "--quiet", "--out", "one")
    assert made.code == 0, made.err

    def offered(out, *options):
        done = command("kexec", "one", "program:hello", "--quiet", "--out", out, *options)
        assert done.code == 0, done.err
        question = "SELECT count(*) FROM regions WHERE name = 'EFI_SIMPLE_FILE_SYSTEM_PROTOCOL'"
        return command("query", out, question, "--format", "csv").out.split()[1]

    assert (offered("two", "--disk", "esp"), offered("three")) == ("1", "0")
    refused = command("kexec", "one", "program:hello", "--disk", "esp", "--disk", "esp", "--quiet", "--out", "four")
    assert refused.code == 12
    assert "the run had 1 disks: give each with --disk" in refused.err
