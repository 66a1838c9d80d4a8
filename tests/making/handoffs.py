"""Hand-offs that keep every rule, made of small parts by hand, to be broken in one place."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import zlib
from types import SimpleNamespace

import libfdt

from efi_services.abi import ABIS
from efi_services.framebuffer import Framebuffer, Resolution
from efi_services.guids import LINUX_EFI_INITRD_MEDIA, RT_PROPERTIES_TABLE
from efi_services.memory_map import MemoryDescriptor, MemoryType
from efi_services.ports import Access
from efi_services.system_table import SystemTable, TableHeader
from payloads.model import (
    Arm32ZImageHeader,
    Arm64ImageHeader,
    BzImageHeader,
    Kind,
    Machine,
    Payload,
    PeImage,
    RiscvImageHeader,
    Section,
)
from shim.handoff import state
from shim.handoff.verdicts.judge import judge
from shim.handoff.verdicts.rule import Given
from shim.handoff.verdicts.verdict import FILE
from shim.machine.architectures import architecture_of
from shim.machine.machine import Stop
from shim.machine.paging import PageTables
from shim.machine.ram import Ram

MAPPED = 16 << 20
#: From the start of RAM.
KERNEL, DATA, SYSTEM_TABLE, TABLE, DESCRIPTORS, PAGE_TABLES, END = (
    0x40_0000, 0x50_0000, 0x60_0000, 0x60_1000, 0x60_2000, 0x60_4000, 0x70_0000,
)  # fmt: skip
ARGUMENT, TEXT, MAP, INITRD, SETUP_DATA = (DATA + each for each in (0, 0x1000, 0x2000, 0x3000, 0x6000))
BASES = {"x86_64": 0, "i386": 0, "aarch64": 0x4000_0000, "arm": 0x4000_0000, "riscv64": 0x8000_0000}
FAR = 0x40_4000_0000
FRAMEBUFFER = 0x80_0000
COMMAND_LINE = "console=ttyS0 quiet"
INITRD_BYTES = bytes(range(250)) * 20
ENTRY, SIGNATURE = 0x40, 0x5453_5953_2049_4249
PREFERRED, VIRTUAL, SHIFT = 0x100_0000, 0xFFFF_FFFF_8000_0000, 0x60_0000
#: What an Arm kernel leaves free below it.
TEXT_OFFSET = 0x8000
#: Places that are relocated, from the kernel's start: of 32 bits, backwards, of 64 bits.
RELOCATED = (0x100, 0x204), (0x300,), (0x408, 0x500)


def contents():
    """What the segment of a kernel holds."""
    return bytearray(hashlib.shake_128(b"kernel").digest(0x3000))


def elf(wide=True, relocated=RELOCATED, entry=PREFERRED + ENTRY):
    """An ELF kernel of one segment, with its relocations behind it."""
    code = 0x1000
    if wide:
        head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        head += struct.pack("<IIQQQQQQ", 1, 5, code, VIRTUAL + PREFERRED, PREFERRED, 0x3000, 0x4000, 4096)
        base = VIRTUAL
    else:
        head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        head += struct.pack("<8I", 1, code, 0xC100_0000, PREFERRED, 0x3000, 0x4000, 5, 4096)
        base = 0xC000_0000
    lists = b""
    for places in reversed(relocated):
        words = [(base + PREFERRED + each) & 0xFFFF_FFFF for each in places]
        lists += struct.pack(f"<{1 + len(words)}I", 0, *words)
    return head.ljust(code, b"\0") + bytes(contents()) + lists


def loaded(wide=True, shift=SHIFT, relocated=RELOCATED):
    """The segment as a stub leaves it."""
    made = contents()
    for places, width, sign in zip(relocated, (4, 4, 8), (1, -1, 1), strict=False):
        for at in places:
            value = int.from_bytes(made[at : at + width], "little") + sign * shift
            made[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(made)


def bzimage(data=None, form="none", wide=True, alignment=0x20_0000):
    """A payload whose compressed kernel is *data*."""
    data = elf(wide, RELOCATED if wide else RELOCATED[:1]) if data is None else data
    header = BzImageHeader("2.15", None, 0, (), None, 0, 0, len(data), form, 0x10_0000, PREFERRED, True, alignment)
    file = bytes(512) + data
    return payload(file, Kind.LINUX_BZIMAGE, Machine.X86_64 if wide else Machine.I386, header)


def image(machine):
    """A plain Image: code, then data."""
    file = bytes(hashlib.shake_128(b"image").digest(0x4000))
    if machine is Machine.AARCH64:
        return payload(file, Kind.LINUX_ARM64_IMAGE, machine, Arm64ImageHeader(0, 0x5000, 10, (), 0x1040))
    return payload(file, Kind.LINUX_RISCV_IMAGE, machine, RiscvImageHeader(0, 0x5000, 0, (), "0.2", 0x1040))


def zimage(data=None, text_offset=TEXT_OFFSET):
    """A zImage whose compressed kernel is *data*, with the magic number of its form in the decompressor as well."""
    data = contents() if data is None else data
    code = b"\x1f\x8b\x08 is not where it begins".ljust(64, b"\0")
    packed = gzip.compress(data, mtime=0)
    end = 0x40 + 24 + len(code) + len(packed) - 4
    header = struct.pack("<5I", 0x016F_2818, 0, end + 4, 0x0403_0201, 0x4545_4545)
    table = struct.pack("<6I", 6, 0x5A53_4C4B, end, 0, text_offset, 0)
    file = bytes(0x24) + header + struct.pack("<2I", 0x40, 0) + table + code + packed
    return payload(file, Kind.LINUX_ARM32_ZIMAGE, Machine.ARM, Arm32ZImageHeader(0, end + 4, little_endian=True))


def payload(file, kind, machine, header):
    """A payload with a section of code and one of data."""
    sections = (
        Section(".text", 0x1000, 0x2000, 0x1000, 0x2000, True, False, True, False),
        Section(".data", 0x3000, 0x2000, 0x3000, 0x1000, True, True, False, False),
    )
    headers = PeImage(machine, 10, 0x1000, 0, 0x5000, 0x1000, 0x1000, (1, 0), True, sections, (), False)
    return Payload("kernel", None, file, hashlib.sha256(file).hexdigest(), kind, machine, None, headers, header)


def broken_rules(run):
    """The rules that the hand-off in a run folder breaks."""
    return [each["rule"] for each in json.loads((run / FILE).read_text()) if each["outcome"] == "failed"]


class HandOff:
    """A hand-off on an architecture; change it, then `judge` it. What has an address is where the names above say."""

    def __init__(self, architecture):
        self.architecture = architecture
        self.screen = None
        self.base = BASES[architecture]
        self.ram = Ram(((self.base, self.base + MAPPED), (FAR, FAR + 0x1_0000)))
        self.map = [
            [0, 0x1000, MemoryType.ReservedMemoryType],
            [0x1000, KERNEL, MemoryType.ConventionalMemory],
            [KERNEL, DATA, MemoryType.LoaderCode],
            [DATA, SYSTEM_TABLE, MemoryType.LoaderData],
            [SYSTEM_TABLE, TABLE, MemoryType.RuntimeServicesData],
            [TABLE, DESCRIPTORS, MemoryType.ACPIReclaimMemory],
            [DESCRIPTORS, END, MemoryType.BootServicesData],
            [END, MAPPED, MemoryType.ConventionalMemory],
        ]
        self.told = None
        self.initrd = [self.base + INITRD, len(INITRD_BYTES)]
        self.tables = {RT_PROPERTIES_TABLE: self.at(TABLE), LINUX_EFI_INITRD_MEDIA: self.at(TABLE) + 0x100}
        self.chosen = {}
        self.tree_at = self.at(ARGUMENT)
        self.registers = {}
        self.kernel = None
        self.options = (COMMAND_LINE + "\0").encode("utf-16-le")
        self.ram.write(self.at(INITRD), INITRD_BYTES)
        self.given = hashlib.sha256(INITRD_BYTES).hexdigest()
        self._system_table()
        getattr(self, f"_{architecture}")()

    def at(self, offset):
        """An address."""
        return self.base + offset

    def poke(self, offset, form, *values):
        """Write numbers."""
        self.ram.write(self.at(offset), struct.pack(form, *values))

    def collect(self):
        """The state as a run collects it, with the memory map written down."""
        abi = ABIS[self.architecture]
        firmware_map = [
            MemoryDescriptor(
                type=kind,
                physical_start=self.at(start),
                virtual_start=0,
                number_of_pages=(end - start) >> 12,
                attribute=15,
            )
            for start, end, kind in self.map
        ]
        rows = self.told or [(each.type, each.physical_start, each.number_of_pages, 15) for each in firmware_map]
        packed = [struct.pack("<IIQQQQQ", kind, 0, start, 0, pages, bits, 0) for kind, start, pages, bits in rows]
        self.ram.write(self.at(MAP), b"".join(packed))
        self.ram.write(self.at(TABLE) + 0x100, b"".join(map(abi.pack, self.initrd)))
        if self.architecture in ("x86_64", "i386"):
            self._boot_params(len(packed))
        else:
            self._tree(len(packed))
        return state.collect(
            SimpleNamespace(
                architecture=SimpleNamespace(name=self.architecture),
                ram=self.ram,
                handoff_registers=lambda: self.registers,
            ),
            SimpleNamespace(
                images=SimpleNamespace(name_at=lambda _address: "payload"),
                configuration=SimpleNamespace(tables=self.tables),
                system_table=self.at(SYSTEM_TABLE),
                memory_map=SimpleNamespace(descriptors=lambda: firmware_map),
                variables=(),
                screen=self.screen and SimpleNamespace(framebuffer=self.screen),
            ),
            Stop("kernel-entry", "", self.at(KERNEL) + self._entry, self.at(DATA)),
        )

    def judge(self, change=lambda _state: None):
        """The verdicts by rule; *change* may change the state after it was collected, or memory."""
        found = self.collect()
        change(found)
        verdicts = judge(found, self.ram, Given(self.kernel, 0, self.options, self.given))
        return {each.rule: each for each in verdicts}

    def _system_table(self):
        abi = ABIS[self.architecture]
        size = SystemTable.sizeof(abi)
        made = SystemTable(
            header=TableHeader(signature=SIGNATURE, revision=0x2_0046, header_size=size, crc32=0, reserved=0),
            firmware_vendor=0, firmware_revision=1, console_in_handle=0, con_in=0, console_out_handle=0, con_out=0,
            standard_error_handle=0, std_err=0, runtime_services=self.at(SYSTEM_TABLE) + 0x100, boot_services=0,
            number_of_table_entries=0, configuration_table=self.at(TABLE),
        ).pack(abi)  # fmt: skip
        self.ram.write(self.at(SYSTEM_TABLE), made[:16] + struct.pack("<I", zlib.crc32(made)) + made[20:])

    def _x86(self, architecture, wide):
        form = architecture_of(architecture, 1)
        tables = PageTables(self.ram, self.at(PAGE_TABLES), ((0, MAPPED),), form.entry_format)
        tables.protect(KERNEL, 0x10_0000, Access.RWX)
        assert tables.execute(KERNEL)
        self.page_tables = tables
        self.ram.write(DESCRIPTORS, form.descriptor_tables)
        self.kernel = bzimage(wide=wide)
        self.ram.write(KERNEL, loaded(wide, SHIFT, RELOCATED if wide else RELOCATED[:1]))
        self.ram.write(TEXT, COMMAND_LINE.encode() + b"\0")
        self._entry = ENTRY
        self.registers = {
            "cr0": 0x8001_0033, "cr3": tables.root, "cr4": 0x668, "gdt_base": DESCRIPTORS, "gdt_limit": 0x3F,
            "idt_base": DESCRIPTORS + 0x1000, "idt_limit": 0xFFF,
        }  # fmt: skip
        self.ram.fill(ARGUMENT, 4096, 0)
        self.poke(ARGUMENT + 0x210, "<B", 0x21)
        self.screen = Framebuffer(self.ram, FRAMEBUFFER, Resolution(800, 600))
        self.poke(ARGUMENT + 0xF, "<B", 0x70)
        self.poke(ARGUMENT + 0x12, "<HHHII", 800, 600, 32, FRAMEBUFFER, 800 * 600 * 4)
        self.poke(ARGUMENT + 0x24, "<H", 800 * 4)
        self.poke(ARGUMENT + 0x228, "<I", TEXT)
        self.version = 1

    def _x86_64(self):
        self._x86("x86_64", wide=True)
        self.registers |= {"efer": 0xD00, "rflags": 2, "rsi": ARGUMENT, "cs": 0x38, "ds": 0x30, "es": 0x30, "ss": 0x30}

    def _i386(self):
        self._x86("i386", wide=False)
        self.registers |= {"efer": 0x800, "eflags": 2, "esi": ARGUMENT, "cs": 0x10, "ds": 8, "es": 8, "ss": 8}

    def _boot_params(self, descriptors):
        names = {0: 2, 5: 2, 6: 2, 9: 3, 10: 4, 8: 5}
        e820 = []
        for start, end, kind in sorted(self.map):
            type_ = names.get(kind, 1)
            if e820 and e820[-1][1] == start and e820[-1][2] == type_:
                e820[-1][1] = end
            else:
                e820.append([start, end, type_])
        self.poke(ARGUMENT + 0x1E8, "<B", len(e820))
        for number, (start, end, type_) in enumerate(e820):
            self.poke(ARGUMENT + 0x2D0 + 20 * number, "<QQI", start, end - start, type_)
        signature = b"EL64" if self.architecture == "x86_64" else b"EL32"
        efi = SYSTEM_TABLE, 48, self.version, MAP, 48 * descriptors, 0, 0
        self.poke(ARGUMENT + 0x1C0, "<4s7I", signature, *efi)
        for at, value in ((0x218, self.initrd[0]), (0x21C, self.initrd[1])):
            self.poke(ARGUMENT + at, "<I", value)

    def _aarch64(self):
        self._image(Machine.AARCH64)
        form = architecture_of("aarch64", 1).entry_format
        tables = PageTables(self.ram, self.at(PAGE_TABLES), ((self.base, self.base + MAPPED),), form)
        tables.protect(self.at(KERNEL), 0x10_0000, Access.RWX)
        assert tables.execute(self.at(KERNEL))
        self.registers = {
            "x0": self.tree_at, "x1": 0, "x2": 0, "x3": 0, "pstate": 0x3C5, "sctlr_el1": 0x30D0_180D,
            "tcr_el1": 0x4_0080_3510, "ttbr0_el1": tables.root,
        }  # fmt: skip

    def _riscv64(self):
        self._image(Machine.RISCV64)
        self.chosen = {"boot-hartid": 0}
        self.registers = {"a0": 0, "a1": self.tree_at, "satp": 0, "sstatus": 0x2000}

    def _arm(self):
        self.kernel = zimage()
        self._entry = TEXT_OFFSET
        self.ram.write(self.at(KERNEL) + TEXT_OFFSET, bytes(contents()))
        self.registers = {"r0": 0, "r1": 0xFFFF_FFFF, "r2": self.tree_at, "cpsr": 0x1D3, "sctlr": 0xC5_1878}

    def _image(self, machine):
        self.kernel = image(machine)
        self._entry = 0x1040
        self.ram.write(self.at(KERNEL), self.kernel.data)

    def _tree(self, descriptors):
        wide = {"linux,uefi-system-table": self.at(SYSTEM_TABLE), "linux,uefi-mmap-start": self.at(MAP)}
        narrow = {
            "linux,uefi-mmap-size": 48 * descriptors, "linux,uefi-mmap-desc-size": 48, "linux,uefi-mmap-desc-ver": 1,
        }  # fmt: skip
        writer = libfdt.FdtSw()
        writer.finish_reservemap()
        writer.begin_node("")
        writer.begin_node("chosen")
        writer.property_string("bootargs", COMMAND_LINE)
        for name, value in wide.items():
            writer.property_u64(name, value)
        for name, value in (narrow | self.chosen).items():
            if value is not None:
                writer.property_u32(name, value)
        writer.end_node()
        writer.end_node()
        self.ram.write(self.tree_at, bytes(writer.as_fdt().as_bytearray()))
