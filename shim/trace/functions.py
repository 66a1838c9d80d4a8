"""Functions of a piece of code: where its call instructions lead, whether or not they were executed.

The bytes are searched for direct calls. Some of what is found only looks like one: operands of other instructions,
tables, a compressed kernel. So a target counts only where a function can begin: no code runs into it from before, or
it begins as functions do. A function that is only called through pointers belongs to the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_Array: TypeAlias = npt.NDArray[Any]
_Patterns: TypeAlias = tuple[tuple[int, int], ...]

_SHORTEST = 8  # bytes; in less there is no call and its target
_PART = 1 << 16  # units that are looked at together; a multiple of eight

# Instructions as mask and value: behind the LAST ones no code follows, with the FIRST ones functions begin.
_A64_LAST = (
    (0xFC000000, 0x14000000), (0xFC000000, 0x94000000), (0xFE000000, 0xD6000000),  # B; BL; BR, RET
    (0xFFE00000, 0xD4200000), (0xFFFFFFFF, 0xD503201F), (0xFFFF0000, 0),  # BRK, NOP, UDF
)  # fmt: skip
_A64_FIRST = (
    (0xFFFFFF3F, 0xD503241F), (0xFFFFFFBF, 0xD503233F),  # BTI; PACIASP, PACIBSP
    (0xFFC07FFF, 0xA9807BFD), (0xFF8003FF, 0xD10003FF),  # STP x29, x30, [sp, -n]!; SUB sp, sp, n
)  # fmt: skip
_A32_LAST = (
    (0xFE000000, 0xEA000000), (0xFFFF8000, 0xE8BD8000), (0xFFFFF000, 0xE49DF000),  # B, BL; POP pc
    (0xFFFFFFF0, 0xE12FFF10), (0xFFFFFFF0, 0xE1A0F000), (0xFFF000F0, 0xE7F000F0), (0xFF000000, 0),  # BX; MOV pc; UDF; 0
)  # fmt: skip
_A32_FIRST = ((0xFFFF0000, 0xE92D0000), (0xFFFF0FFF, 0xE52D0004), (0xFFFFF000, 0xE24DD000))  # PUSH; SUB sp, sp, n
_RV_LAST = ((0xFFFF, 0), (0xFFFF, 1), (0xFFFF, 0x9002), (0xE003, 0xA001), (0xF07F, 0x8002))  # data, NOP, EBREAK, J, JR
_RV_LAST_WIDE = ((0xF7F, 0x6F), (0x7FFF, 0x67), (0xFFFFF, 0x80E7), (0xFFFFFFFF, 0x13))  # J, JAL; JR, JALR; NOP
_RV_FIRST = ((0xFFFF, 1), (0xFF83, 0x1101), (0xEF83, 0x6101))  # NOP, ADDI sp


@dataclass(frozen=True, slots=True)
class Function:
    """Addresses from the first to the first behind."""

    start: int
    end: int
    name: str


def find_functions(
    code: bytes | memoryview,
    base: int,
    machine: str,
    entries: Iterable[int],
    symbols: Mapping[int, str],
    name: str,
    origin: int,
    holding: _Array | None = None,
) -> list[Function]:
    """Divide code into functions: they ascend and, all together, leave nothing out.

    Args:
        code: the bytes.
        base: their address.
        machine: a payload's; in code for one that is not known here no calls are looked for.
        entries: addresses where functions begin; those outside the code don't count.
        symbols: names by address; as entries.
        name: what owns the code; a function without symbol is named after it and its offset.
        origin: address from which the offsets count.
        holding: addresses in the code; only functions that hold one of them are given.
    """
    end = base + len(code)
    starts = np.array([at for at in (base, *entries, *symbols) if base <= at < end], np.uint64)
    if machine in _TARGETS and len(code) >= _SHORTEST:
        called = _TARGETS[machine](np.frombuffer(code, np.uint8), base)
        starts = np.append(starts, called.astype(np.uint64) + np.uint64(base))
    bounds = np.append(each_once(starts), np.uint64(end))
    of = np.arange(len(bounds) - 1)
    if holding is not None:
        of = each_once(np.searchsorted(bounds, holding.astype(np.uint64), side="right") - 1)
    return [
        Function(start, behind, symbols.get(start) or f"{name}+{start - origin:#x}")
        for start, behind in zip(bounds[of].tolist(), bounds[of + 1].tolist(), strict=True)
    ]


def _x86(code: _Array, base: int) -> _Array:
    """Targets of CALL rel32."""
    calls = _where(code[:-4], lambda part: part == 0xE8)
    target = calls + 5 + _word(code, calls + 1).view(np.int32)
    # calling the next instruction is how code finds out where it is
    target = each_once(target[(target >= 0) & (target <= len(code) - 4) & (target != calls + 5)])
    back = {distance: code[target - distance].astype(np.uint16) for distance in (1, 2, 3, 5)}
    first = _word(code, target)
    aligned = (base % 16 + target) % 16 == 0  # as compilers like it, except for code that seldom runs
    start = first == 0xFA1E0FF3  # ENDBR64
    start |= np.isin(back[1], (0xC3, 0xCC, 0x90))  # RET, INT3, NOP
    start |= (back[2] == 0xEB) | (back[5] == 0xE9)  # JMP
    start |= (back[2] == 0x0F) & (back[1] == 0x0B)  # UD2
    start |= (back[3] == 0xC2) | (back[2] == 0xFF) & (back[1] & 0xF8 == 0xE0)  # RET n, JMP r
    start |= (back[1] == 0) & np.isin(back[3] << 8 | back[2], (0x8D76, 0x0F1F))  # NOP of three bytes
    start |= aligned & ((back[1] == 0) | (back[5] == 0xE8))  # a longer one; CALL of what doesn't return
    padding = (first & 0xFF == 0xCC) | (first & 0xFF == 0x90) & (back[1] == 0x90) & ~aligned
    found: _Array = target[start & ~padding]
    return found


def _words(call: int, bits: int, ahead: int, last: _Patterns, first: _Patterns, code: _Array, base: int) -> _Array:
    """Targets of BL, where instructions are words: *call* above as many bits of distance from *ahead* words on."""
    words, skipped = _units(code, base, 4)
    calls = _where(words, lambda part: part >> bits == call)
    target = _inside(words, calls + ahead + _signed(words[calls] & (1 << bits) - 1, bits))
    start = _any(words[target - 1], last) | _any(words[target], first)
    found: _Array = 4 * target[start] + skipped
    return found


def _riscv64(code: _Array, base: int) -> _Array:
    """Targets of JAL ra, and of AUIPC with JALR ra."""
    halves, skipped = _units(code, base, 2)
    begins = _begins(halves)
    near = _where(halves, lambda part: part & 0xFFF == 0x0EF)
    near = near[begins[near]]
    far = _where(halves[:-2], lambda part: part & 0xFFF == 0x097)
    far = far[begins[far] & (_wide(halves, far + 2) & 0xFFFFF == 0x080E7)]
    jal = _wide(halves, near)
    distance = jal >> 31 << 20 | (jal >> 12 & 0xFF) << 12 | (jal >> 20 & 1) << 11 | (jal >> 21 & 0x3FF) << 1
    reach = _signed(_wide(halves, far) & 0xFFFFF000, 32) + _signed(_wide(halves, far + 2) >> 20, 12)
    target = _inside(halves, np.append(near + _signed(distance, 21) // 2, far + reach // 2))
    start = _any(halves[target], _RV_FIRST) | begins[target - 1] & _any(halves[target - 1], _RV_LAST)
    start |= begins[target - 2] & _any(_wide(halves, target - 2), _RV_LAST_WIDE)
    found: _Array = 2 * target[start & begins[target]] + skipped
    return found


def _begins(halves: _Array) -> _Array:
    """At which halves of words RISC-V instructions begin.

    Behind a half whose low bits aren't 11 one does. Of a run of halves that have them, and the one behind it, every
    other does, from the first on. All halves are bits of one number here: what is added to the first of a run is
    carried to the one behind it.
    """
    parts = (np.packbits(part & 3 == 3, bitorder="little").tobytes() for part in _parts(halves))
    wide = int.from_bytes(b"".join(parts), "little")
    first, begins = wide & ~(wide << 1), ~(wide << 1)
    every_other = int.from_bytes(b"\x55" * (len(halves) // 8 + 1), "little")
    for which in (every_other, every_other << 1):
        begins |= (wide ^ wide + (first & which)) & which
    packed = (begins & (1 << len(halves)) - 1).to_bytes(len(halves) // 8 + 1, "little")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=len(halves), bitorder="little").view(np.bool_)


def _wide(halves: _Array, at: _Array) -> _Array:
    """The words that begin at some halves; behind the last half there are zeroes."""
    behind = (at + 1) % len(halves)
    words: _Array = halves[at] | np.where(behind, halves[behind], 0).astype(np.uint32) << 16
    return words


def _where(units: _Array, test: Callable[[_Array], _Array]) -> _Array:
    """The places of the units that pass a test."""
    found = [np.flatnonzero(test(part)) + number * _PART for number, part in enumerate(_parts(units))]
    return np.concatenate(found) if found else np.zeros(0, np.intp)


def _parts(units: _Array) -> Iterator[_Array]:
    """All units, but only as many together as stay in the processor's cache: else copies of whole kernels are made."""
    for at in range(0, len(units), _PART):
        yield units[at : at + _PART]


def _word(code: _Array, at: _Array) -> _Array:
    """The little-endian words at some places."""
    return code[at[:, None] + np.arange(4)].view("<u4").ravel()


def _units(code: _Array, base: int, width: int) -> tuple[_Array, int]:
    """The code as aligned units of so many bytes, and how many bytes come before the first."""
    skipped = -base % width
    count = (len(code) - skipped) // width
    return code[skipped : skipped + count * width].view(f"<u{width}"), skipped


def _signed(values: _Array, bits: int) -> _Array:
    """Numbers of so many bits, which have a sign."""
    return (values.astype(np.int64) ^ 1 << bits - 1) - (1 << bits - 1)


def _inside(units: _Array, target: _Array) -> _Array:
    """Those of the targets that lie in the code, each once."""
    return each_once(target[(target >= 0) & (target < len(units))])


def each_once(values: _Array) -> _Array:
    """The values in ascending order. NumPy's `unique` does the same, but imports a third of NumPy first."""
    ascending = np.sort(values)
    found: _Array = ascending[np.append(True, ascending[1:] != ascending[:-1])[: len(ascending)]]
    return found


def _any(units: _Array, patterns: _Patterns) -> _Array:
    """Which units match one of the patterns."""
    found: _Array = np.logical_or.reduce([units & mask == value for mask, value in patterns])
    return found


_TARGETS: dict[str, Callable[[_Array, int], _Array]] = {
    "x86_64": _x86,
    "i386": _x86,
    "aarch64": partial(_words, 0x25, 26, 0, _A64_LAST, _A64_FIRST),
    # distances count from PC + 8; what looks like a BL with a condition is mostly data
    "arm": partial(_words, 0xEB, 24, 2, _A32_LAST, _A32_FIRST),
    "riscv64": _riscv64,
}
