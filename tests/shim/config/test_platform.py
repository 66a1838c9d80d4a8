"""Platforms as people write them."""

import hashlib
import os
import time
from datetime import UTC, datetime
from typing import get_args

import pytest

from shim.config import platform as platform_module
from shim.config import ready
from shim.config.platform import (
    CPU_MODELS,
    DEFAULT_PLATFORMS,
    IdRegister,
    Platform,
    load_platform,
)
from shim.errors import ExitCode, UnreadableError, UsageError
from shim.machine.aarch64 import ID_REGISTERS
from shim.machine.architectures import ARCHITECTURES

GUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"


@pytest.fixture
def load(tmp_path):
    """Loads a platform from TOML text."""

    def loads(text, name="name = 'x'\n"):
        path = tmp_path / "platform.toml"
        path.write_text(name + text)
        return load_platform(str(path))

    return loads


# Sizes.


# The ready platform.


def test_the_names():
    assert ready.names() == (
        *sorted(f"bare-{machine}" for machine in CPU_MODELS),
        "q35",
        "q35-acpi",
        "q35-graphics",
        "q35-ia32",
        "q35-secure",
        "q35-tdx",
        "q35-tpm",
        "virt-arm",
        "virt-arm64",
        "virt-arm64-16k",
        "virt-arm64-acpi",
        "virt-arm64-el2",
        "virt-arm64-graphics",
        "virt-arm64-tpm",
        "virt-riscv64",
    )


def test_q35():
    q35 = load_platform("q35")
    assert (q35.name, q35.machine, q35.cpu) == ("q35", "x86_64", "westmere")
    assert q35.memory.size == 1 << 30
    assert (q35.memory.low_limit, q35.memory.high_base) == (2 << 30, 4 << 30)
    assert [(each.start, each.size, each.mapped) for each in q35.memory.reserved] == [
        (0, 4096, False),
        (0x9F000, 4096, True),
    ]
    assert [(each.start, each.size) for each in q35.memory.holes] == [(0xA0000, 384 << 10)]


def test_q35_ia32_is_q35_but_for_the_width_of_its_firmware():
    narrow = load_platform("q35-ia32")
    assert narrow.machine == "i386"
    assert narrow.model_copy(update={"name": "q35", "machine": "x86_64"}) == load_platform("q35")


def test_virt_arm():
    virt = load_platform("virt-arm")
    assert (virt.name, virt.machine, virt.cpu) == ("virt-arm", "arm", "cortex-a15")
    assert (virt.memory.base, virt.memory.size) == (1 << 30, 1 << 30)
    assert virt.firmware.heap == 64 << 10


def test_virt_arm64():
    virt = load_platform("virt-arm64")
    assert (virt.name, virt.machine, virt.cpu) == ("virt-arm64", "aarch64", "cortex-a57")
    assert (virt.memory.base, virt.memory.size) == (1 << 30, 1 << 30)
    assert (virt.tables, virt.exception_level) == ((), 1)


def test_virt_riscv64():
    virt = load_platform("virt-riscv64")
    assert (virt.name, virt.machine, virt.cpu) == ("virt-riscv64", "riscv64", "rv64")
    assert (virt.memory.base, virt.memory.size) == (2 << 30, 1 << 30)
    assert [(each.start, each.size, each.mapped) for each in virt.memory.reserved] == [(2 << 30, 512 << 10, False)]


@pytest.mark.parametrize(("machine", "models"), CPU_MODELS.items())
def test_the_models_of_a_machine(load, machine, models):
    assert load(f"machine = '{machine}'").cpu == models[0]
    assert {load(f"machine = '{machine}'\ncpu = '{model}'").cpu for model in models} == set(models)
    assert set(ARCHITECTURES[machine].cpu_models) == set(models), "those that there is a machine for"


def test_the_platform_for_a_machine():
    assert set(DEFAULT_PLATFORMS) == set(CPU_MODELS) == set(ARCHITECTURES)
    assert all(load_platform(name).machine == machine for machine, name in DEFAULT_PLATFORMS.items())


def test_the_same_text_gives_the_same_platform():
    assert load_platform("q35") == load_platform("q35")
    assert load_platform("q35").sha256 == load_platform("q35").sha256


def test_other_memory():
    q35 = load_platform("q35")
    larger = q35.with_memory(3 << 30)
    assert larger.memory.size == 3 << 30
    assert q35.memory.size == 1 << 30
    assert larger.with_memory(1 << 30) == q35
    assert larger.sha256 != q35.sha256, "what was computed for the old one must not stick to the new one"
    assert larger.toml != q35.toml


# Files.

WHOLE = f"""
name = "all-of-it"
cpu = "nehalem"
[memory]
size = "64M"
base = "0x40000000"
low_limit = 1073741824
high_base = "1T"
[[memory.reserved]]
start = "0x40001000"
size = 4096
type = "ReservedMemoryType"
[[memory.holes]]
start = "0x40010000"
size = "64K"
[firmware]
vendor = "A \\"vendor\\" of Ünïcödé"
revision = 0x20000
start_time = 2025-12-31T23:59:59+01:00
stack = "128K"
console = false
rng = false
memory_attribute = false
runtime_services = 0
[secure_boot]
enabled = false
mode = "audit"
[[variables]]
name = "BootOrder"
vendor = "{GUID}"
attributes = 3
data = "0100 0200"
[[variables]]
name = "FromFile"
vendor = "{GUID}"
file = "blob.bin"
[[tables]]
vendor = "{GUID}"
data = ""
type = "RuntimeServicesData"
[smbios]
file = "sub/smbios.bin"
"""


@pytest.fixture
def whole(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "blob.bin").write_bytes(bytes(range(256)))
    (tmp_path / "sub" / "smbios.bin").write_bytes(b"_SM3_")
    path = tmp_path / "whole.toml"
    path.write_text(WHOLE)
    return load_platform(str(path))


def test_files_beside_the_platform_are_taken_into_it(whole):
    assert [each.content for each in whole.variables] == [b"\1\0\2\0", bytes(range(256))]
    assert whole.smbios.content == b"_SM3_"
    assert whole.tables[0].content == b""
    assert all(each.file is None for each in (*whole.variables, *whole.tables, whole.smbios))
    assert "blob.bin" not in whole.toml


@pytest.mark.parametrize("name", ["whole", "q35"])
def test_what_a_run_keeps_of_a_platform_is_the_platform(whole, tmp_path, name):
    """The folder's platform.toml can be given to another run: the same platform, with the same digest."""
    platform = whole if name == "whole" else load_platform(name)
    kept = tmp_path / "elsewhere"
    kept.mkdir()
    (kept / "platform.toml").write_text(platform.toml, encoding="utf-8")
    again = load_platform(str(kept / "platform.toml"))
    assert again == platform
    assert again.toml == platform.toml
    assert again.sha256 == platform.sha256


def test_the_digest_is_that_of_the_content_of_files(whole, tmp_path):
    (tmp_path / "blob.bin").write_bytes(b"else")
    assert load_platform(str(tmp_path / "whole.toml")).sha256 != whole.sha256


def test_what_is_not_said_has_its_default(load):
    platform = load("")
    assert platform == Platform(name="x")
    assert platform.memory.size == 1 << 30
    assert platform.firmware.start_time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "<+05>-5"])
def test_a_time_without_a_zone_does_not_depend_on_the_hosts(load, monkeypatch, zone):
    try:
        with monkeypatch.context() as patch:
            patch.setitem(os.environ, "TZ", zone)
            time.tzset()
            platform = load("[firmware]\nstart_time = 2026-01-02T03:04:05\n")
            seconds = platform.firmware.start_time.timestamp()
            text = platform.toml
    finally:
        time.tzset()
    assert seconds == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert load_platform_text(load, text).firmware.start_time.timestamp() == seconds


def load_platform_text(load, text):
    return load(text, name="")


# What is refused.


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("colour = 1", "colour"),
        ("machine = 'aarch64'\nexception_level = 3", "exception_level"),
        ("machine = 'aarch64'\nid_registers = { ctr_el0 = 1 }", "id_registers.ctr_el0.[key]"),
        ("machine = 'aarch64'\nid_registers = { midr_el1 = -1 }", "id_registers.midr_el1"),
        ("machine = 'aarch64'\nid_registers = { midr_el1 = '0x1_0000_0000_0000_0000' }", "id_registers.midr_el1"),
        ("[device_tree]\na = -1", "device_tree.a.property"),
        ("[device_tree]\na = 0x1_0000_0000", "device_tree.a.property"),
        ("[device_tree]\na = false", "device_tree.a.property"),
        ("[device_tree.b]\na = [1, 'x']", "device_tree.b.node.a.property"),
        ("[device_tree]\na = 1.5", "device_tree.a.property"),
        ("[device_tree.'a b']", "device_tree.a b.[key]"),
        ("[device_tree]\n'a/b' = 1", "device_tree.a/b.[key]"),
        ("[memory]\nsizes = 1", "memory.sizes"),
        ("[[memory.reserved]]\nstart = 0\nsize = 1\ntype = 'x'\nmaped = true", "memory.reserved.0.maped"),
        ("[[variables]]\nname = 'a'", "variables.0.vendor"),
        (f"[[variables]]\nname = ''\nvendor = '{GUID}'\ndata = ''", "variables.0.name"),
        (f"[[variables]]\nname = 'a'\nvendor = '{GUID}'\nattributes = 128\ndata = ''", "variables.0.attributes"),
        ("[[variables]]\nname = 'a'\nvendor = 'no guid'\ndata = ''", "variables.0.vendor"),
        (f"[[tables]]\nvendor = '{GUID}'\ndata = 'xyz'", "tables.0"),
        (f"[[tables]]\nvendor = '{GUID}'\ndata = 'abc'", "tables.0"),
        (f"[[tables]]\nvendor = '{GUID}'", "tables.0"),
        ("machine = 'mips'", "machine"),
        ("cpu = 'host'", "cpu"),
        ("cpu = 'cortex-a57'", "cpu"),
        ("machine = 'aarch64'\ncpu = 'westmere'", "cpu"),
        ("memory = 5", "memory"),
        ("[memory]\nsize = 'much'", "memory.size"),
        ("[memory]\nsize = true", "memory.size"),
        ("[memory]\nsize = 1.5", "memory.size"),
        ("[firmware]\nrevision = -1", "firmware.revision"),
        ("[firmware]\nrevision = 0x100000000", "firmware.revision"),
        ("[firmware]\nruntime_services = 0x4000", "firmware.runtime_services"),
        ("[firmware]\nstart_time = 'yesterday'", "firmware.start_time"),
        ("[secure_boot]\nenabled = 'perhaps'", "secure_boot.enabled"),
        ("[[acpi]]\ndata = '00'", "acpi.0"),
    ],
)
def test_what_is_wrong_is_named(load, text, where):
    with pytest.raises(UsageError) as caught:
        load(text)
    message = str(caught.value)
    assert f": {where}: " in message
    assert "platform.toml" in message
    assert "\n" not in message
    assert caught.value.code is ExitCode.USAGE


def test_only_aarch64_has_exception_levels(load):
    with pytest.raises(UsageError, match="x86_64 has no exception level 2"):
        load("exception_level = 2")


def test_what_a_cpu_tells_of_itself(load):
    assert load("machine = 'aarch64'\nid_registers = { midr_el1 = '0x410fd0b1' }").id_registers == {
        "midr_el1": 0x410FD0B1
    }
    assert load("machine = 'aarch64'").id_registers is None
    assert set(get_args(IdRegister)) == set(ID_REGISTERS), "those that the machine knows"
    with pytest.raises(UsageError, match="x86_64 has no id_registers"):
        load("id_registers = { midr_el1 = 1 }")


@pytest.mark.parametrize("name", ["", "-x", "a b", "../x", "a" * 65, "a/b", "x\n"])
def test_names_are_fit_for_file_names(load, name):
    with pytest.raises(UsageError, match="name"):
        load("", name=f"name = {name!r}\n")


def test_a_platform_has_a_name(load):
    with pytest.raises(UsageError, match="name: "):
        load("", name="")


@pytest.mark.parametrize("text", ["name = ", "[", "name = 'a'\nname = 'b'", "\0", "name = 'a' 'b'"])
def test_what_is_no_toml(load, text):
    with pytest.raises(UsageError, match=r"platform\.toml"):
        load(text, name="")


@pytest.mark.parametrize("key", ["start", "size"])
@pytest.mark.parametrize("part", ["reserved", "holes"])
def test_a_part_of_memory_without_a_place(load, part, key):
    other = {"start": "size", "size": "start"}[key]
    kind = "type = 'ReservedMemoryType'" if part == "reserved" else ""
    with pytest.raises(UsageError, match=rf"memory\.{part}\.0\.{key}"):
        load(f"[[memory.{part}]]\n{other} = 4096\n{kind}")


@pytest.mark.parametrize("name", ["q36", "", "Q35", "q35.tml", "../q35"])
def test_an_unknown_name_tells_the_known_ones(name):
    with pytest.raises(UsageError, match="q35"):
        load_platform(name)


def test_a_missing_file(tmp_path):
    with pytest.raises(UnreadableError, match=r"gone\.toml: no such file") as caught:
        load_platform(str(tmp_path / "gone.toml"))
    assert caught.value.code is ExitCode.UNREADABLE


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UnreadableError, match=r"folder\.toml"):
        load_platform(str(tmp_path / "folder.toml"))


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"name = '\xff\xfe'")
    with pytest.raises(UsageError, match="name"):
        load_platform(str(tmp_path / "x.toml"))


@pytest.mark.parametrize("file", ["gone.bin", ".", "sub/gone.bin"])
def test_a_missing_blob(load, file):
    with pytest.raises(UnreadableError, match=rf"{file}"):
        load(f"[smbios]\nfile = '{file}'")


def test_a_blob_that_is_too_large(load, tmp_path, monkeypatch):
    monkeypatch.setattr(platform_module, "MAX_BLOB", 4000)
    (tmp_path / "large.bin").write_bytes(bytes(4001))
    with pytest.raises(UnreadableError, match=r"large\.bin: larger than"):
        load("[smbios]\nfile = 'large.bin'")
    (tmp_path / "large.bin").write_bytes(bytes(4000))
    assert len(load("[smbios]\nfile = 'large.bin'").smbios.content) == 4000


def test_a_blob_is_data_or_a_file_and_not_both(load, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"a")
    with pytest.raises(UsageError, match="smbios"):
        load("[smbios]\nfile = 'a.bin'\ndata = '00'")


def test_a_platform_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        load_platform("q35").name = "else"


def test_a_platform_with_other_memory_is_another_platform():
    platform = load_platform("q35")
    before = platform.toml, platform.sha256
    other = platform.with_memory(2 << 30)
    assert (other.toml, other.sha256) != before
    assert other.sha256 == hashlib.sha256(other.toml.encode()).hexdigest()


def test_a_platform_that_is_nested_too_deeply(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(UsageError, match="nested too deeply"):
        load_platform(str(path))
