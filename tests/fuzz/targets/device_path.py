"""Device paths: their text is one printable line, and their nodes are the path."""

from efi_services.device_path import END, file_path, length_of_match, memory_mapped, nodes, to_text, vendor_media
from efi_services.guids import GLOBAL_VARIABLE

ERRORS = ()
MAX_LENGTH = 4096


def seeds():
    return {
        "initrd": vendor_media(GLOBAL_VARIABLE) + END,
        "file": file_path("\\EFI\\BOOT\\BOOTX64.EFI") + END,
        "memory": memory_mapped(3, 0x1000, 0x1FFF) + END,
        # PCI root, PCI, SATA, a partition by its GUID.
        "disk": bytes.fromhex("02010c00d041030a000000000101060000020312 0a000000ffff0000".replace(" ", ""))
        + bytes.fromhex("04012a0001000000000800000000000000100000000000001122334455667788")
        + bytes.fromhex("99aabbccddeeff000202")
        + END,
        "uri": bytes.fromhex("03180e00") + b"https://ho" + END,
    }


def target(data):
    whole = list(nodes(data))
    assert data.startswith(b"".join(whole))
    assert length_of_match(data, data) == sum(map(len, whole))
    to_text(data)
