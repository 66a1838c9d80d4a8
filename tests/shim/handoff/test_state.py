"""What is kept at the kernel entry."""

import json
import struct
from types import SimpleNamespace
from uuid import UUID

import pytest

from efi_services.guids import GLOBAL_VARIABLE, LINUX_EFI_INITRD_MEDIA
from efi_services.memory_map import RAM, MemoryMap, MemoryType, Range
from efi_services.variables import BOOTSERVICE_ACCESS, Variable, VariableStore
from shim.errors import UnreadableError
from shim.handoff import state
from shim.handoff.ram_image import FILE, RamImage
from shim.machine.machine import Stop
from shim.machine.ram import Ram

LOW, HIGH = (0x1000, 0x10_0000), (0x20_0000, 0x30_0000)
BOOT_PARAMS, GDT = 0x2000, 0x4000
VARIABLES = VariableStore(
    [Variable("Boot", GLOBAL_VARIABLE, BOOTSERVICE_ACCESS, b"1"), Variable("Both", GLOBAL_VARIABLE, 6, b"\2\3")]
)
GUID = UUID("8868e871-e4f1-11d3-bc22-0080c73c8881")


@pytest.fixture
def ram():
    return Ram((LOW, HIGH))


@pytest.fixture
def collect(ram):
    """Collects the state of a machine with this RAM; registers can be changed."""

    def collects(tables=None, machine="x86_64", **registers):
        values = {
            "cr0": 0,
            "cr3": 0,
            "cr4": 0,
            "efer": 0,
            "rsi": BOOT_PARAMS,
            "gdt_base": GDT,
            "gdt_limit": 15,
            "idt_base": 0x5000,
            "idt_limit": 4095,
        }
        machine = SimpleNamespace(
            architecture=SimpleNamespace(name=machine), ram=ram, handoff_registers=lambda: {**values, **registers}
        )
        ranges = (
            Range(0x1000, 0x2000, MemoryType.BootServicesData, RAM),
            Range(0x2000, 0x10_0000, MemoryType.ConventionalMemory, RAM),
        )
        firmware = SimpleNamespace(
            images=SimpleNamespace(name_at=lambda address: f"image at {address:#x}"),
            configuration=SimpleNamespace(tables=tables or {GUID: 0x7000}),
            system_table=0x6000,
            memory_map=MemoryMap(ranges),
            variables=VARIABLES,
            screen=None,
        )
        return state.collect(machine, firmware, Stop("kernel-entry", "", 0x10_0200, 0x9000))

    return collects


def put_boot_params(ram, command_line=0, signature=b"EL64"):
    ram.write(BOOT_PARAMS + 0x1C0, signature)
    ram.write(BOOT_PARAMS + 0x228, struct.pack("<I", command_line))


def test_what_a_kernel_finds(ram, collect):
    ram.write(GDT, bytes(range(16)))
    put_boot_params(ram, 0x3000)
    ram.write(0x3000, b"quiet panic=-1\0rubbish")
    found = collect()
    assert (found["entry"], found["entered_from"], found["entered_from_image"]) == (
        0x10_0200,
        0x9000,
        "image at 0x9000",
    )
    assert found["registers"]["rsi"] == BOOT_PARAMS
    assert found["gdt"] == bytes(range(16)).hex()
    assert found["idt"] == {"base": 0x5000, "limit": 4095}
    assert found["system_table"] == 0x6000
    assert [each["name"] for each in found["variables"]] == [each.name for each in VARIABLES]
    assert found["variables"][-1] == {
        "name": "Both", "vendor": str(GLOBAL_VARIABLE), "attributes": 6, "data": "0203",
        "moment": [0, 0, 0, 0, 0, 0], "owner": "",
    }  # fmt: skip
    assert found["configuration_tables"] == {str(GUID): 0x7000}
    assert found["memory_map"] == [
        {"start": 0x1000, "pages": 1, "type": 4, "attribute": 15},
        {"start": 0x2000, "pages": 0xFE, "type": 7, "attribute": 15},
    ]
    assert found["boot_params"]["address"] == BOOT_PARAMS
    assert found["boot_params"]["command_line"] == "quiet panic=-1"
    assert found["boot_params"]["efi_info"]["loader_signature"] == "EL64"
    json.dumps(found)


def test_the_initrd_is_in_a_configuration_table(ram, collect):
    ram.write(0x7000, struct.pack("<QQ", 0x8000, 1234))
    assert collect(tables={LINUX_EFI_INITRD_MEDIA: 0x7000})["initrd"] == {"address": 0x8000, "size": 1234}
    assert collect(tables={LINUX_EFI_INITRD_MEDIA: HIGH[1] - 8})["initrd"] is None
    # Where pointers have 32 bits, so have its address and size.
    ram.write(0x7000, struct.pack("<II", 0x8000, 1234))
    found = collect(tables={LINUX_EFI_INITRD_MEDIA: 0x7000}, machine="i386", esi=BOOT_PARAMS)
    assert found["initrd"] == {"address": 0x8000, "size": 1234}
    assert collect(tables={LINUX_EFI_INITRD_MEDIA: HIGH[1] - 4}, machine="i386")["initrd"] is None
    assert collect()["initrd"] is None


@pytest.mark.parametrize("signature", [b"\0\0\0\0", b"EL63", b"el64", b"\xff\xff\xff\xff"])
def test_what_has_no_signature_is_no_boot_params(ram, collect, signature):
    put_boot_params(ram, signature=signature)
    assert collect()["boot_params"] is None


@pytest.mark.parametrize("rsi", [0, LOW[1], LOW[1] - 4095, HIGH[1] - 1, (1 << 64) - 1])
def test_boot_params_have_to_lie_in_memory(collect, rsi):
    assert collect(rsi=rsi)["boot_params"] is None


@pytest.mark.parametrize(("base", "limit"), [(0, 15), (HIGH[1], 15), (HIGH[1] - 8, 15), ((1 << 64) - 1, 65535)])
def test_a_descriptor_table_that_lies_nowhere(collect, base, limit):
    assert collect(gdt_base=base, gdt_limit=limit)["gdt"] is None


@pytest.mark.parametrize(
    ("address", "text", "read"),
    [
        (0x3000, b"\0", ""),
        (0x3000, b"x" * 5000, "x" * 4096),  # no end in sight
        (0x3000, b"\xff\xfe\0", "\ufffd\ufffd"),
        (HIGH[1] - 4096, b"root=/dev/sda\0", "root=/dev/sda"),
        (HIGH[1] - 100, b"root=/dev/sda\0", "root=/dev/sda"),  # in the last page: memory ends before 4096 bytes do
        (LOW[1] - 5, b"quiet", "quiet"),  # up to the gap
        (HIGH[1] - 1, b"x", "x"),
    ],
)
def test_the_command_line(ram, collect, address, text, read):
    ram.write(address, text)
    put_boot_params(ram, address)
    assert collect()["boot_params"]["command_line"] == read


@pytest.mark.parametrize("address", [0, LOW[1], HIGH[1], 0xFFFF_FFFF])
def test_a_command_line_that_lies_nowhere(ram, collect, address):
    put_boot_params(ram, address)
    assert collect()["boot_params"]["command_line"] is None


def test_saving(ram, collect, tmp_path):
    put_boot_params(ram)
    found = collect()
    state.save(tmp_path, found, ram)
    assert json.loads((tmp_path / "handoff/state.json").read_text()) == found
    assert (tmp_path / "handoff/boot_params.bin").read_bytes() == ram.read(BOOT_PARAMS, 4096)


def test_saving_without_boot_params(ram, collect, tmp_path):
    state.save(tmp_path, collect(), ram)
    assert [each.name for each in (tmp_path / "handoff").iterdir()] == ["state.json"]


@pytest.mark.parametrize("what", ["save", "save_ram"])
def test_a_folder_that_can_not_be_made(ram, collect, tmp_path, what):
    (tmp_path / "handoff").write_text("a file")
    arguments = (tmp_path, collect(), ram) if what == "save" else (tmp_path, ram)
    with pytest.raises(UnreadableError, match="handoff"):
        getattr(state, what)(*arguments)


def test_saving_ram(ram, tmp_path):
    ram.write(HIGH[0] + 0x1234, b"high")
    state.save_ram(tmp_path, ram)
    found = RamImage(tmp_path / FILE, (LOW, HIGH))
    assert found.read(HIGH[0] + 0x1234, 4) == b"high"
    assert found.digest() == ram.digest()
