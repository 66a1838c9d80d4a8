"""Nodes of device paths whose text is more than a list of numbers (UEFI 2.10, section 10.6.1.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.types import Guid

if TYPE_CHECKING:
    from collections.abc import Callable

#: How a serial line's parity and stop bits are written, by their numbers.
_PARITIES, _STOP_BITS = tuple("DNEOMS"), ("D", "1", "1.5", "2")
_ATA_CHANNELS, _ATA_DRIVES = ("Primary", "Secondary"), ("Master", "Slave")
#: Classes of USB devices that have names of their own.
_USB_CLASSES = {
    1: "UsbAudio", 2: "UsbCDCControl", 3: "UsbHID", 6: "UsbImage", 7: "UsbPrinter", 8: "UsbMassStorage", 9: "UsbHub",
    10: "UsbCDCData", 11: "UsbSmartCard", 14: "UsbVideo", 220: "UsbDiagnostic", 224: "UsbWireless",
}  # fmt: skip
_RAM_DISKS = {
    Guid("77ab535a-45fc-624b-5560-f7b281d1f96e"): "VirtualDisk",
    Guid("3d5abd30-4175-87ce-6d64-d2ade523c4bb"): "VirtualCD",
    Guid("5cea02c9-4d07-69d3-269f-4496fbe096f9"): "PersistentVirtualDisk",
    Guid("08018188-42cd-bb48-100f-5387d53ded3d"): "PersistentVirtualCD",
}


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one kind of node is written, and what is made of its words.

    *write* gives the name and the words of the node's data, which has *form* where that is given. *read* has the data
    for a name that is one of *names*, in small letters; both raise ValueError, struct.error or IndexError for what
    there is no way to write or read.
    """

    names: tuple[str, ...]
    write: Callable[[bytes], tuple[str, str]]
    read: Callable[[str, list[str]], bytes]


def number(text: str) -> int:
    """A number in a text, in C's notation; 0 for nothing. Raises ValueError."""
    return int(text.strip() or "0", 0)


def hexadecimal(value: int, digits: int = 1) -> str:
    """A number as device paths have it: 0x, and capital letters."""
    return f"0x{value:0{digits}X}"


def _write_mac(data: bytes) -> tuple[str, str]:
    address, kind = struct.unpack("<32sB", data)
    # Ethernet's address has six bytes, of the 32 that there is room for.
    return "MAC", f"{address[: 6 if kind in (0, 1) else 32].hex().upper()},{hexadecimal(kind)}"


def _read_mac(_name: str, words: list[str]) -> bytes:
    return bytes.fromhex(words[0]).ljust(32, b"\0")[:32] + struct.pack("<B", number(words[1]))


def _write_uart(data: bytes) -> tuple[str, str]:
    _, baud, bits, parity, stop = struct.unpack("<IQBBB", data)
    return "Uart", f"{baud or 'DEFAULT'},{bits or 'DEFAULT'},{_PARITIES[parity]},{_STOP_BITS[stop]}"


def _read_uart(_name: str, words: list[str]) -> bytes:
    baud, bits = (0 if each.strip().upper() == "DEFAULT" else int(each) for each in words[:2])
    parity, stop = _PARITIES.index(words[2].strip().upper()), _STOP_BITS.index(words[3].strip().upper())
    return struct.pack("<IQBBB", 0, baud, bits, parity, stop)


def _write_nvme(data: bytes) -> tuple[str, str]:
    namespace, identifier = struct.unpack("<I8s", data)
    # The identifier is read from its last byte on.
    return "NVMe", f"{hexadecimal(namespace)},{identifier[::-1].hex('-').upper()}"


def _read_nvme(_name: str, words: list[str]) -> bytes:
    return struct.pack("<I8s", number(words[0]), bytes.fromhex(words[1].replace("-", ""))[::-1])


def _write_offset(data: bytes) -> tuple[str, str]:
    _, start, end = struct.unpack("<IQQ", data)
    return "Offset", f"{hexadecimal(start)},{hexadecimal(end)}"


def _read_offset(_name: str, words: list[str]) -> bytes:
    return struct.pack("<IQQ", 0, *map(number, words))


def _write_address(data: bytes) -> tuple[str, str]:
    if not data:
        raise ValueError("no _ADR")
    return "AcpiAdr", ",".join(hexadecimal(each) for (each,) in struct.iter_unpack("<I", data))


def _read_address(_name: str, words: list[str]) -> bytes:
    return b"".join(struct.pack("<I", number(each)) for each in words)


def _write_ata(data: bytes) -> tuple[str, str]:
    channel, drive, unit = struct.unpack("<BBH", data)
    return "Ata", f"{_ATA_CHANNELS[channel]},{_ATA_DRIVES[drive]},{hexadecimal(unit)}"


def _read_ata(_name: str, words: list[str]) -> bytes:
    channel, drive = words[0].strip().capitalize(), words[1].strip().capitalize()
    return struct.pack("<BBH", _ATA_CHANNELS.index(channel), _ATA_DRIVES.index(drive), number(words[2]))


def _write_i1394(data: bytes) -> tuple[str, str]:
    _, identifier = struct.unpack("<IQ", data)
    return "I1394", f"{identifier:016X}"


def _read_i1394(_name: str, words: list[str]) -> bytes:
    return struct.pack("<IQ", 0, int(words[0], 16))


def _write_usb_class(data: bytes) -> tuple[str, str]:
    vendor, product, kind, *rest = struct.unpack("<HHBBB", data)
    named = _USB_CLASSES.get(kind)
    numbers = (vendor, product, *rest) if named else (vendor, product, kind, *rest)
    return named or "UsbClass", ",".join(map(hexadecimal, numbers))


def _read_usb_class(name: str, words: list[str]) -> bytes:
    vendor, product, *rest = map(number, words)
    kinds = [kind for kind, named in _USB_CLASSES.items() if named.lower() == name]
    return struct.pack("<HHBBB", vendor, product, *kinds, *rest)


def _write_vlan(data: bytes) -> tuple[str, str]:
    return "Vlan", str(*struct.unpack("<H", data))


def _read_vlan(_name: str, words: list[str]) -> bytes:
    return struct.pack("<H", number(words[0]))


def _write_uri(data: bytes) -> tuple[str, str]:
    return "Uri", data.decode("latin-1").partition("\0")[0]


def _read_uri(_name: str, words: list[str]) -> bytes:
    return ",".join(words).encode("latin-1")


def _write_bluetooth(data: bytes) -> tuple[str, str]:
    return "Bluetooth", struct.unpack("6s", data)[0].hex().upper()


def _read_bluetooth(_name: str, words: list[str]) -> bytes:
    (address,) = struct.unpack("6s", bytes.fromhex(words[0]))
    return bytes(address)


def _write_wifi(data: bytes) -> tuple[str, str]:
    return "Wi-Fi", struct.unpack("32s", data)[0].partition(b"\0")[0].decode("latin-1")


def _read_wifi(_name: str, words: list[str]) -> bytes:
    return struct.pack("32s", ",".join(words).encode("latin-1"))


def _write_ram_disk(data: bytes) -> tuple[str, str]:
    start, end, kind, instance = struct.unpack("<QQ16sH", data)
    guid = Guid(bytes_le=kind)
    named = _RAM_DISKS.get(guid)
    return named or "RamDisk", f"{hexadecimal(start)},{hexadecimal(end)},{instance}" + (
        "" if named else f",{guid}".upper()
    )


def _read_ram_disk(name: str, words: list[str]) -> bytes:
    kinds = [guid for guid, named in _RAM_DISKS.items() if named.lower() == name] or [Guid(words[3].strip())]
    return struct.pack("<QQ16sH", number(words[0]), number(words[1]), kinds[0].bytes_le, number(words[2]))


#: By type and subtype of the node.
SPELLINGS = {
    (2, 3): Spelling(("acpiadr",), _write_address, _read_address),
    (3, 1): Spelling(("ata",), _write_ata, _read_ata),
    (3, 4): Spelling(("i1394",), _write_i1394, _read_i1394),
    (3, 11): Spelling(("mac",), _write_mac, _read_mac),
    (3, 14): Spelling(("uart",), _write_uart, _read_uart),
    (3, 15): Spelling(
        ("usbclass", *(each.lower() for each in _USB_CLASSES.values())), _write_usb_class, _read_usb_class
    ),
    (3, 20): Spelling(("vlan",), _write_vlan, _read_vlan),
    (3, 23): Spelling(("nvme",), _write_nvme, _read_nvme),
    (3, 24): Spelling(("uri",), _write_uri, _read_uri),
    (3, 27): Spelling(("bluetooth",), _write_bluetooth, _read_bluetooth),
    (3, 28): Spelling(("wi-fi",), _write_wifi, _read_wifi),
    (4, 8): Spelling(("offset",), _write_offset, _read_offset),
    (4, 9): Spelling(("ramdisk", *(each.lower() for each in _RAM_DISKS.values())), _write_ram_disk, _read_ram_disk),
}
