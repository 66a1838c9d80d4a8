"""User mode of x86-64: what traps, what is done for it, and what can't be done."""

import struct

import pytest
import unicorn.x86_const as x86

from efi_services.ports import Access
from shim.machine.user.x86_64 import X86_64_USER

HALT = bytes.fromhex("f4")
HALTED = "the CPU was halted for good"


@pytest.fixture
def user(make_guest):
    return make_guest(user_mode=X86_64_USER)


def kinds(guest):
    return [each.name for each in guest.performed]


def test_it_begins_at_level_3_as_it_would_at_level_0(user, guest):
    same = ("rax", "rcx", "r11", "rsp", "rflags", "cr0", "cr3", "cr4", "ds", "es", "fs", "gs")
    assert [getattr(user, each) for each in same] == [getattr(guest, each) for each in same]
    assert (user.cs & 3, user.ss & 3) == (3, 3)
    assert user.machine.handoff_registers() == guest.machine.handoff_registers()
    assert user.machine.monitor.blocks == 0


def test_level_3_is_real(make_guest, places):
    """Without the firmware's user bit in the page tables nothing can be fetched."""
    user = make_guest(user_mode=X86_64_USER)
    user.machine.leave_user_mode()
    assert "page fault" in user.run(HALT).detail


def test_gates_return_at_level_3(user, places):
    # mov $0x500000, %eax; call *%rax; mov %cs, %ebx; hlt
    user.enter = lambda _address: user.machine.write({"rax": 42})
    assert user.run(bytes.fromhex("b800005000ffd08ccbf4")).detail.startswith(HALTED)
    assert user.calls == [places.gate]
    assert (user.rax, user.rbx & 3) == (42, 3)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("0f20c3", "mov from cr0"),  # mov %cr0, %rbx
        ("0f20d3", "mov from cr2"),  # mov %cr2, %rbx
        ("0f20db", "mov from cr3"),  # mov %cr3, %rbx
        ("0f20e3", "mov from cr4"),  # mov %cr4, %rbx
        ("440f20c3", "mov from cr8"),  # mov %cr8, %rbx
        ("0f20e30f22e3", "mov from cr4,mov to cr4"),  # mov %cr4, %rbx; mov %rbx, %cr4
        ("0f20db0f22db", "mov from cr3,mov to cr3"),  # mov %cr3, %rbx; mov %rbx, %cr3
        ("0f20c083c8080f22c00f20c3", "mov from cr0,mov to cr0,mov from cr0"),  # or $8 (TS) into %cr0; mov %cr0, %rbx
        ("0f20c083c8080f22c00f060f20c3", "mov from cr0,mov to cr0,clts,mov from cr0"),
        ("0f21f3", "mov from dr6"),  # mov %dr6, %rbx
        ("fa9c5b", "cli"),  # cli; pushfq; pop %rbx
        ("fafb9c5b", "cli,sti"),
        ("b9800000c00f3289c3", "rdmsr"),  # mov $0xc0000080 (EFER), %ecx; rdmsr; mov %eax, %ebx
        # mov $0xc0000102, %ecx; mov $5, %eax; mov $6, %edx; wrmsr; xor %eax, %eax; rdmsr; mov %edx, %ebx
        ("b9020100c0b805000000ba060000000f3031c00f3289d3", "wrmsr,rdmsr"),
        # the same; swapgs; mov $0xc0000101, %ecx; rdmsr; mov %eax, %ebx
        ("b9020100c0b805000000ba000000000f300f01f8b9010100c00f3289c3", "wrmsr,swapgs,rdmsr"),
        ("0f0138", "invlpg"),  # invlpg (%rax)
        ("0f09", "wbinvd"),
        ("0f08", "invd"),
        ("e460", "in"),  # in $0x60, %al
        ("66ba2003ed89c3", "in"),  # mov $0x320, %dx; in %dx, %eax; mov %eax, %ebx
        ("e680", "out"),  # out %al, $0x80
        ("66b83000668ed8", "mov to ds"),  # mov $0x30, %ax; mov %ax, %ds
        ("b8300000008ed0", "mov to ss"),
        ("31c08ed0", "mov to ss"),  # xor %eax, %eax; mov %eax, %ss
        ("31c00f00d0", "lldt"),
        # push $0x38; lea 6(%rip), %rax; push %rax; lretq; ud2; mov $7, %ebx
        ("6a38488d050500000050 48cb 0f0b bb07000000", "retfq"),
        # mov %rsp, %rcx; push $0x30; push %rcx; pushfq; push $0x38; lea 5(%rip), %rax; push %rax; iretq; ud2
        ("4889e1 6a30 51 9c 6a38 488d0505000000 50 48cf 0f0b bb07000000", "iretq"),
    ],
)
def test_it_comes_to_the_same(make_guest, code, kind):
    """Level 0 is the judge: the same registers and memory after the same code."""
    found = []
    for mode in (X86_64_USER, None):
        guest = make_guest(user_mode=mode)
        guest.machine.write({"rbp": 0x1234})
        stop = guest.run(bytes.fromhex(code) + HALT)
        assert stop.detail.startswith(HALTED), stop
        registers = {**guest.machine.handoff_registers()}
        # Segments of level 0 are not loaded.
        loaded = {name: registers.pop(name) for name in ("ds", "es", "ss")}
        guest.machine.leave_user_mode()
        stack = guest.ram.read(guest.rsp, 64)
        found.append((stop.detail, registers, stack, guest.ram.digest()))
        if mode:
            assert ",".join(kinds(guest)) == f"{kind},hlt"
            assert loaded["ds"] == 0x30
            assert guest.cs & 3 == 3
        else:
            assert guest.performed == []
    assert found[0] == found[1]


def test_a_descriptor_table_of_its_own(user, guest, places):
    gdt = struct.pack("<4Q", 0, 0x00AF_9B00_0000_FFFF, 0x12CF_9334_5678_FFFF, 0)
    # mov $0x300100, %eax; lgdt (%rax); mov $0x10, %ecx; mov %ecx, %gs; push $8; lea 5(%rip), %rax; push %rax; lretq;
    # ud2; hlt
    code = bytes.fromhex("b800013000 0f0110 b910000000 8ee9 6a08 488d0505000000 50 48cb 0f0b f4")
    bases = []
    for each in (user, guest):
        each.put(struct.pack("<HQ", len(gdt) - 1, places.data), places.data + 0x100)
        each.put(gdt, places.data)
        assert each.run(code).detail.startswith(HALTED)
        registers = each.machine.handoff_registers()
        assert (registers["gdt_base"], registers["gdt_limit"]) == (places.data, 31)
        bases.append(each.machine._engine.read((x86.UC_X86_REG_GS_BASE,)))
    assert bases[0] == bases[1] == [0x1234_5678]
    assert kinds(user) == ["lgdt", "mov to gs", "retfq", "hlt"]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("31c00f22c0", "leaves long mode"),  # xor %eax, %eax; mov %rax, %cr0
        ("31c00f22e0", "leaves long mode"),  # ... %cr4
        ("31c00f22d8", "page tables of the payload's own"),  # ... %cr3
        ("b9800000c031c031d20f30", "leaves long mode"),  # EFER = 0
        ("6a2068000020 0048cb", "leaves long mode"),  # push $0x20; push $0x200000; lretq
        ("b8100000000f00d0", "local descriptor table"),  # mov $0x10, %eax; lldt %ax
        ("0f00d8", "not in the model"),  # ltr %ax
        ("0f01f0", "not in the model"),  # lmsw %ax
        ("48b80000000000000080 0f0110", "no memory"),  # mov $1<<63, %rax; lgdt (%rax)
    ],
)
def test_what_it_can_not_do_ends_the_run_by_name(user, code, why):
    stop = user.run(bytes.fromhex(code) + HALT)
    assert stop.kind == "fault"
    assert why in stop.detail, stop
    assert stop.detail.startswith("privileged instruction ")
    assert user.performed[-1].meaning.startswith("not performed: ")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("0f0b", "invalid opcode"),
        ("48b80000000000000080 8b00", "general protection"),  # a read of 1<<63, which is no canonical address
        ("66b8f000668ed8", "general protection"),  # a segment beyond the table
        ("cd80", "interrupt 0x80"),
    ],
)
def test_what_faults_with_privileges_too_is_a_fault(user, code, why):
    stop = user.run(bytes.fromhex(code) + HALT)
    assert stop.kind == "fault"
    assert why in stop.detail
    assert user.performed == []


def test_a_loop_of_traps_is_looked_at(user):
    # 1: cli; jmp 1b
    looks = []

    def poll():
        looks.append(1)
        return "long enough" if len(looks) == 3 else None

    stop = user.run(bytes.fromhex("faebfd"), poll=poll)
    assert (stop.kind, stop.detail) == ("budget", "long enough")
    assert user.run(max_blocks=5000).kind == "budget"


def test_code_at_the_end_of_memory(user, places):
    user.put(b"\xfa", places.size - 1, Access.RX)
    # mov $size - 1, %eax; jmp *%rax
    stop = user.run(b"\xb8" + (places.size - 1).to_bytes(4, "little") + b"\xff\xe0")
    assert stop.kind == "fault"
    assert "page fault" in stop.detail
