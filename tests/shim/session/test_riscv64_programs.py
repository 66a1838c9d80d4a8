"""Small riscv64 programs. clang and lld make no PE file for RISC-V, so headers are put before what they make."""

from __future__ import annotations

import json
import struct
import subprocess

import pyarrow.parquet as pq
import pytest

PAGE, HEADERS = 0x1000, 0x200

#: Saves what it needs of its caller, prints, and goes on to a test, which has the image's base in s2.
PROGRAM = """
    .option norvc
    addi sp, sp, -32
    sd ra, 24(sp)
    sd s1, 16(sp)
    sd s2, 8(sp)
    mv s1, a1
    lla s2, start - 0x1000
    ld a0, 64(s1)
    lla a1, text
    ld t0, 8(a0)
    jalr t0
    bnez a0, leave
    j test
leave:
    ld ra, 24(sp)
    ld s1, 16(sp)
    ld s2, 8(sp)
    addi sp, sp, 32
    ret
text:
    .2byte 'r', 'v', '!', 13, 10, 0
    .balign 4
test:
"""

#: What the test does, and what the run comes to.
TESTS = {
    "return": ("li a0, 0; j leave", 0, "EFI_SUCCESS"),
    "error": ("li a0, 14; li t0, 1; slli t0, t0, 63; or a0, a0, t0; j leave", 3, "EFI_NOT_FOUND"),
    "time goes on": (
        "rdtime t0; rdtime t1; rdtime t1; rdtime t1; rdtime t1; sltu a0, t0, t1; xori a0, a0, 1; j leave", 0, None,
    ),
    "the SBI has its base": (
        "li a7, 0x10; li a6, 3; li a0, 0x10; ecall; bnez a0, leave; xori a0, a1, 1; j leave", 0, None,
    ),
    "floating point": (
        "li t0, 3; fcvt.d.l fa0, t0; fmul.d fa0, fa0, fa0; fcvt.l.d a0, fa0; addi a0, a0, -9; j leave", 0, None,
    ),
    "null": ("jr zero", 4, "instruction page fault, fetch from 0x0, which is no memory"),
    "breakpoint": ("ebreak", 4, "breakpoint"),
    "machine mode": ("csrr a0, mstatus", 4, "illegal instruction"),
    "execute data": ("lui t0, 2; add t0, s2, t0; jr t0", 4, "instruction page fault"),
    "write code": ("lui t0, 1; add t0, s2, t0; sd zero, 0(t0)", 4, "store page fault, write to"),
    "stack overflow": ("again: sd ra, 0(sp); addi sp, sp, -1024; j again", 4, "which is a guard page"),
}  # fmt: skip


@pytest.fixture
def assemble(need, tmp_path):
    """Gives the file of a program that does something."""
    for tool in ("clang", "ld.lld"):
        need(tool)

    def make(what):
        source = "\n".join((".globl start", "start:", PROGRAM, *what.split(";"), ""))
        (tmp_path / "test.s").write_text(source)
        for command in (
            "clang --target=riscv64 -march=rv64gc -mno-relax -c test.s -o test.o",
            "ld.lld --oformat=binary -Ttext=0x1000 -e start -o test.bin test.o",
        ):
            subprocess.run(command.split(), cwd=tmp_path, check=True)
        path = tmp_path / "test.efi"
        path.write_bytes(image((tmp_path / "test.bin").read_bytes()))
        return str(path)

    return make


def image(code):
    """A PE file with the code at 0x1000, where it may be executed, and a page of data behind it."""
    code = code.ljust(PAGE, b"\0")
    assert len(code) == PAGE
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", 0x20B, 0, 0, PAGE, PAGE, 0, PAGE, PAGE, 0, PAGE, 0x200, 0, 0, 0, 0, 0, 0, 0,
        3 * PAGE, HEADERS, 0, 10, 0x100, 0, 0, 0, 0, 0, 16,
    )  # fmt: skip
    optional += bytes(16 * 8)
    sections = b"".join(
        struct.pack("<8sIIIIIIHHI", name, PAGE, at, PAGE, HEADERS + at - PAGE, 0, 0, 0, 0, flags)
        for name, at, flags in ((b".text", PAGE, 0x6000_0020), (b".data", 2 * PAGE, 0xC000_0040))
    )
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x5064, 2, 0, 0, 0, len(optional), 0x0206)
    return (
        (b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + coff + optional + sections).ljust(HEADERS, b"\0")
        + code
        + bytes(PAGE)
    )


@pytest.mark.parametrize("test", TESTS)
def test_programs(test, assemble, command, tmp_path):
    what, code, comes_to = TESTS[test]
    done = command("run", assemble(what), "--json", "--trace", "exact", "--out", "run")
    report = json.loads(done.out)
    assert report["console"] == "rv!\n", report["outcome"]
    assert done.code == code, report["outcome"]
    assert report["platform"]["name"] == "virt-riscv64"
    assert report["engine"]["deterministic"] is True
    if code == 4:
        assert comes_to in report["outcome"]["detail"]
        # A fetch from elsewhere is at that place.
        assert " in payload" in report["outcome"]["detail"] or test == "null"
    else:
        assert report["outcome"]["status"] == (comes_to or "EFI_SUCCESS")


def test_calls_of_the_sbi_are_recorded(assemble, command, tmp_path):
    """Answered or not, by name: is there SRST? Then it is used all the same."""
    what = (
        "li a7, 0x10; li a6, 3; li a0, 0x53525354; ecall; li a7, 0x53525354; li a6, 0; li a0, 1; li a1, 2; ecall; "
        "li a7, 0; ecall; li a0, 0; j leave"
    )
    done = command("run", assemble(what), "--json", "--trace", "calls", "--out", "run")
    assert json.loads(done.out)["outcome"]["status"] == "EFI_SUCCESS"
    rows = pq.read_table(tmp_path / "run" / "sbi.parquet").to_pylist()
    assert [(row["seq"], row["extension"], row["function"], row["error"], row["value"]) for row in rows] == [
        (0, "BASE", "probe_extension", "SBI_SUCCESS", 0),
        (1, "SRST", "system_reset", "SBI_ERR_NOT_SUPPORTED", 0),
        (2, "legacy", "set_timer", "SBI_ERR_NOT_SUPPORTED", 0),
    ]
    assert json.loads(rows[1]["arguments"])[:2] == ["0x1", "0x2"]
    assert {(row["image"], row["call"]) for row in rows} == {("payload", 1)}
    assert [row["pc"] for row in rows] == sorted({row["pc"] for row in rows})
    asked = command("query", "run", "SELECT count(*) AS n FROM sbi WHERE error <> 'SBI_SUCCESS'")
    assert asked.out.split()[-1] == "2"
    shown = command("show", "run", "sbi")
    assert (shown.code, shown.err) == (0, "")
    assert "SRST.system_reset(0x1, 0x2" in shown.out
