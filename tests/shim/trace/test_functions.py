"""Small pieces of code whose calls are known, a built program, and rubbish."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payloads import open_payload
from payloads.catalogue import program
from shim.trace import functions
from shim.trace.functions import Function, find_functions

BASE = 0x40_1000
MACHINES = ("x86_64", "i386", "aarch64", "arm", "riscv64", "loongarch64")


def starts(code, machine, base=BASE):
    """Offsets at which functions are found to begin, apart from the first."""
    return [each.start - base for each in find_functions(code, base, machine, (), {}, "image", base)][1:]


def words(*values):
    return struct.pack(f"<{len(values)}I", *values)


def halves(*values):
    return struct.pack(f"<{len(values)}H", *values)


def x86_call(at, target):
    return b"\xe8" + struct.pack("<i", target - at - 5)


@pytest.mark.parametrize("machine", ["x86_64", "i386"])
@pytest.mark.parametrize(
    ("before", "first"),
    [
        (b"\xc3", b"\x53"),
        (b"\xcc", b"\x53"),
        (b"\x90", b"\x53"),
        (b"\xeb\xfe", b"\x53"),
        (b"\xe9\0\0\x10\0", b"\x53"),
        (b"\x0f\x0b", b"\x53"),
        (b"\xc2\x08\0", b"\x53"),
        (b"\xff\xe0", b"\x53"),
        (b"\x8d\x76\0", b"\x53"),
        (b"\x31\xc0", b"\xf3\x0f\x1e\xfa"),
    ],
)
def test_x86_calls_lead_to_where_nothing_runs_into_a_function(machine, before, first):
    code = x86_call(0, 0x13) + b"\x31\xc0".ljust(0xE - len(before), b"\x31") + before + first.ljust(13, b"\xc0")
    assert starts(code, machine) == [0x13]


def test_x86_functions_can_follow_a_call_that_does_not_return_where_they_are_aligned():
    code = x86_call(0, 0x20) + b"\x31" * 22 + x86_call(27, 0x1000) + b"\x53" * 16
    assert starts(code, "x86_64") == [0x20]
    assert starts(code, "x86_64", BASE + 1) == []


def test_x86_operands_that_look_like_calls_are_none():
    within = b"\x89" + x86_call(1, 0x12) + b"\x31" * 12 + b"\xc0\x31\xc0\x31\xc0\xc3"
    padding = x86_call(0, 0x8) + b"\xc3" + b"\xcc" * 10
    asking_where = x86_call(0, 5) + b"\xc3" * 11
    outside = x86_call(0, 0x100) + b"\xc3" * 11
    for code in (within, padding, asking_where, outside):
        assert starts(code, "x86_64") == []


def test_aarch64_bl_forwards_and_backwards():
    stp, ret, nop, bti, mov = 0xA9BF7BFD, 0xD65F03C0, 0xD503201F, 0xD503245F, 0xAA0003E1
    code = words(nop, ret, mov, ret, 0x97FFFFFE, 0x94000003, 0x94000004, mov, stp, mov, bti, mov, 0x97FFFFFF, mov)
    assert starts(code, "aarch64") == [8, 32, 40]
    assert starts(b"\0" + code, "aarch64", BASE - 1) == [9, 33, 41]


def test_arm_bl_counts_from_two_words_on():
    push, pop, bx, mov = 0xE92D4010, 0xE8BD8010, 0xE12FFF1E, 0xE1A01000
    code = words(mov, bx, mov, 0xEBFFFFFD, 0xEB000000, pop, push, 0x0B000000, mov, mov, bx, mov)
    assert starts(code, "arm") == [8, 24]


def test_riscv_jal_and_auipc_with_jalr():
    ret, push, li = 0x8082, 0x1141, 0x4501
    jal = halves(0x00EF, 0x00E0)  # 14 on
    far = words(0x00000097, 0x014080E7)  # 20 on
    back = words(0x00000097, 0xFF4080E7)  # 12 back
    code = halves(li) + jal + far + halves(li) + halves(push, ret, li, li, li, push, ret, li) + back
    assert starts(code, "riscv64") == [16, 20, 26]


def test_riscv_halves_of_other_instructions_are_no_calls():
    lui = halves(0x0537, 0x00EF)  # its upper half is the lower half of a JAL
    assert starts(halves(0x4501) + lui + halves(0x0040, 0x8082, 0x1141, 0x8082), "riscv64") == []


def test_ranges_bear_the_symbol_or_the_offset_from_the_origin():
    code = x86_call(0, 0x10).ljust(0x10, b"\xc3") + b"\x53" * 8
    symbols = {BASE + 0x14: "last", BASE + 0x18: "behind", BASE - 1: "before"}
    assert find_functions(code, BASE, "x86_64", (BASE + 4, 7), symbols, "kernel", BASE - 0x1000) == [
        Function(BASE, BASE + 4, "kernel+0x1000"),
        Function(BASE + 4, BASE + 0x10, "kernel+0x1004"),
        Function(BASE + 0x10, BASE + 0x14, "kernel+0x1010"),
        Function(BASE + 0x14, BASE + 0x18, "last"),
    ]


def test_a_built_program_has_its_functions():
    payload = open_payload(program("program:handoff_like"))
    text = payload.image.section(".text")
    code = payload.data[text.raw_offset : text.raw_offset + text.virtual_size]
    entry = payload.image.entry_point
    found = find_functions(code, text.virtual_address, "x86_64", [entry], {entry: "efi_main"}, "handoff_like", 0)
    assert "efi_main" in [each.name for each in found]
    assert len(found) >= 5
    # clang aligns every function
    assert all(each.start % 16 == 0 for each in found)


@given(
    code=st.binary(max_size=300)
    | st.lists(st.sampled_from([0xE8, 0, 0xFF, 0xC3, 0xEF, 0x97]), max_size=300).map(bytes),
    base=st.integers(0, 2**64 - 1000),
    machine=st.sampled_from(MACHINES),
    entries=st.lists(st.integers(-10, 310), max_size=5),
)
def test_functions_cover_the_code_and_begin_at_every_entry(code, base, machine, entries):
    inside = {base + each for each in entries if 0 <= each < len(code)}
    found = find_functions(code, base, machine, [base + each for each in entries], {}, "image", base)
    assert found == find_functions(memoryview(code), base, machine, sorted(inside), {}, "image", base)
    assert all(each.start < each.end for each in found)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert inside <= {each.start for each in found}
    if code:
        assert (found[0].start, found[-1].end) == (base, base + len(code))
    else:
        assert found == []


@given(
    st.lists(st.sampled_from(("ef00", "9700", "e780", "0100", "ffff", "0094", "e800")), min_size=4, max_size=40),
    st.sampled_from(MACHINES),
)
def test_functions_do_not_depend_on_the_parts_that_are_looked_at_together(units, machine):
    code = bytes.fromhex("".join(units))
    whole = starts(code, machine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functions, "_PART", 8)
        assert starts(code, machine) == whole
