"""Device paths as text, as section 10.6 of UEFI 2.10 has it, and back; spelt as EDK2 does."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from efi_services.device_path import END, file_path, is_hard_drive
from efi_services.device_path_spellings import SPELLINGS, hexadecimal, number
from efi_services.types import Guid

if TYPE_CHECKING:
    from collections.abc import Callable

_EISA = 0x41D0
#: ACPI devices that have names of their own, by the number behind PNP.
_DEVICES = {
    "PciRoot": 0x0A03, "PcieRoot": 0x0A08, "Floppy": 0x0604, "Keyboard": 0x0301, "Serial": 0x0501,
    "ParallelPort": 0x0401,
}  # fmt: skip
_VENDORS = {"VenHw": (1, 4), "VenMsg": (3, 10), "VenMedia": (4, 3)}
#: Nodes whose text is a list of numbers, by type and subtype: the name, and their form.
_NUMBERS = {
    (1, 2): ("PcCard", "<B"),
    (1, 3): ("MemoryMapped", "<IQQ"),
    (1, 5): ("Ctrl", "<I"),
    (1, 6): ("BMC", "<BQ"),
    (3, 2): ("Scsi", "<HH"),
    (3, 3): ("Fibre", "<4xQQ"),
    (3, 5): ("USB", "<BB"),
    (3, 17): ("Unit", "<B"),
    (3, 18): ("Sata", "<HHH"),
    (3, 25): ("UFS", "<BB"),
    (3, 26): ("SD", "<B"),
    (3, 29): ("eMMC", "<B"),
    (4, 2): ("CDROM", "<IQQ"),
}
_GUIDS = {(4, 5): "Media", (4, 6): "FvFile", (4, 7): "Fv"}


def to_text(path: bytes) -> str:
    """A whole path, whose end node may lack; several instances are separated by commas."""
    instances: list[list[str]] = [[]]
    at = 0
    while at + 4 <= len(path):
        length = int.from_bytes(path[at + 2 : at + 4], "little")
        if path[at] == 0x7F:
            if path[at + 1] == 0xFF:
                break
            instances.append([])
        elif length < 4 or at + length > len(path):
            break
        else:
            instances[-1].append(node_to_text(path[at : at + length]))
        at += max(length, 4)
    return ",".join("/".join(each) for each in instances)


def node_to_text(node: bytes) -> str:
    """One node; one that is not known is a `Path` with its bytes."""
    kind, data = (node[0], node[1]), node[4:]
    if kind == (4, 4):
        return data.decode("utf-16-le", "replace").partition("\0")[0]
    if is_hard_drive(node):
        index, start, blocks, signature, _, form = struct.unpack("<IQQ16sBB", data)
        extent = f"{hexadecimal(start)},{hexadecimal(blocks)}"
        if form == 2:
            return f"HD({index},GPT,{_guid(signature)},{extent})"
        if form == 1:
            return f"HD({index},MBR,{hexadecimal(int.from_bytes(signature[:4], 'little'), 8)},{extent})"
    if kind == (1, 1) and len(data) == 2:
        return f"Pci({hexadecimal(data[1])},{hexadecimal(data[0])})"
    if kind == (2, 1) and len(data) == 8:
        return _acpi(*struct.unpack("<II", data))
    if kind in _NUMBERS and len(data) == struct.calcsize(_NUMBERS[kind][1]):
        name, form = _NUMBERS[kind]
        return f"{name}({','.join(map(hexadecimal, struct.unpack(form, data)))})"
    if kind in _GUIDS and len(data) == 16:
        return f"{_GUIDS[kind]}({_guid(data)})"
    if kind in SPELLINGS:
        with suppress(struct.error, ValueError, IndexError):
            return "{}({})".format(*SPELLINGS[kind].write(data))
    for name, vendor in _VENDORS.items():
        if kind == vendor and len(data) >= 16:
            return f"{name}({_guid(data)}{',' + data[16:].hex().upper() if data[16:] else ''})"
    return f"Path({kind[0]},{kind[1]}{',' + data.hex().upper() if data else ''})"


def from_text(text: str) -> bytes:
    """The path that a text means; what is no known node is a file's path. Raises ValueError for wrong numbers."""
    instances = [b"".join(node_from_text(each) for each in _split(part, "/") if each) for part in _split(text, ",")]
    return bytes((0x7F, 1, 4, 0)).join(instances) + END


def node_from_text(text: str) -> bytes:
    """The node that a text means; raises ValueError."""
    name, opened, rest = text.partition("(")
    make = _MAKERS.get(name.lower())
    if not opened or not rest.endswith(")") or make is None:
        return file_path(text)
    try:
        return make(rest[:-1].split(","))
    except (struct.error, IndexError) as why:
        raise ValueError(f"{text}: {why}") from None


def _guid(data: bytes) -> str:
    return str(Guid(bytes_le=data[:16])).upper()


def _acpi(hid: int, uid: int) -> str:
    for name, product in _DEVICES.items():
        if hid == product << 16 | _EISA:
            return f"{name}({hexadecimal(uid)})"
    if hid & 0xFFFF == _EISA:
        return f"Acpi(PNP{hid >> 16:04X},{hexadecimal(uid)})"
    return f"Acpi({hexadecimal(hid, 8)},{hexadecimal(uid)})"


def _split(text: str, separator: str) -> list[str]:
    """The parts of a text, those in parentheses left whole."""
    parts, depth = [""], 0
    for each in text:
        depth += (each == "(") - (each == ")" and depth > 0)
        if each == separator and not depth:
            parts.append("")
        else:
            parts[-1] += each
    return parts


def _node(kind: int, subtype: int, data: bytes) -> bytes:
    return struct.pack("<BBH", kind, subtype, 4 + len(data)) + data


def _make_drive(words: list[str]) -> bytes:
    gpt = words[1].strip().upper() == "GPT"
    signature = Guid(words[2]).bytes_le if gpt else struct.pack("<I12x", number(words[2]))
    form = 2 if gpt else 1
    numbers = number(words[0]), *(number(each) if each else 0 for each in (*words[3:5], "", "")[:2])
    return _node(4, 1, struct.pack("<IQQ16sBB", *numbers, signature, form, form))


def _make_acpi(words: list[str]) -> bytes:
    hid = words[0].strip()
    made = int(hid[3:], 16) << 16 | _EISA if hid.upper().startswith("PNP") else number(hid)
    return _node(2, 1, struct.pack("<II", made, number(words[1])))


def _make_numbers(kind: tuple[int, int], form: str) -> Callable[[list[str]], bytes]:
    return lambda words: _node(*kind, struct.pack(form, *map(number, words)))


def _make_spelt(kind: tuple[int, int], name: str) -> Callable[[list[str]], bytes]:
    return lambda words: _node(*kind, SPELLINGS[kind].read(name, words))


def _make_device(product: int) -> Callable[[list[str]], bytes]:
    return lambda words: _node(2, 1, struct.pack("<II", product << 16 | _EISA, number(words[0])))


def _make_vendor(kind: tuple[int, int]) -> Callable[[list[str]], bytes]:
    return lambda words: _node(*kind, Guid(words[0]).bytes_le + bytes.fromhex("".join(words[1:])))


_MAKERS: dict[str, Callable[[list[str]], bytes]] = {
    "hd": _make_drive,
    "acpi": _make_acpi,
    "pci": lambda words: _node(1, 1, struct.pack("<BB", number(words[1]), number(words[0]))),
    "path": lambda words: _node(number(words[0]), number(words[1]), bytes.fromhex("".join(words[2:]))),
    **{name.lower(): _make_device(product) for name, product in _DEVICES.items()},
    **{name.lower(): _make_vendor(kind) for name, kind in _VENDORS.items()},
    **{name.lower(): _make_numbers(kind, form) for kind, (name, form) in _NUMBERS.items()},
    **{name.lower(): _make_vendor(kind) for kind, name in _GUIDS.items()},
    **{name: _make_spelt(kind, name) for kind, each in SPELLINGS.items() for name in each.names},
}
