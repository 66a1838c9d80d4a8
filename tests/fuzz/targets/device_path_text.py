"""Device paths as text: what is read is a path, and its own text means the same."""

from efi_services.device_path import END, nodes
from efi_services.device_path_text import from_text, to_text

ERRORS = (ValueError,)
MAX_LENGTH = 2048


def seeds():
    return {
        "disk": b"PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)",
        "partition": b"HD(1,GPT,00112233-4455-6677-8899-AABBCCDDEEFF,0x800,0x10800)/\\EFI\\BOOT\\BOOTX64.EFI",
        "mbr": b"HD(1,MBR,0x12345678,0x3F,0x100)",
        "vendor": b"VenHw(00112233-4455-6677-8899-AABBCCDDEEFF,0102)/Path(5,1,AB)/Acpi(PNP0A03,0x1)",
        "named": b"Ata(Primary,Slave,0x0)/UsbHub(0xFFFF,0xFFFF,0x0,0x1)/AcpiAdr(0x1,0x2)/VirtualCD(0x0,0xFFF,1)",
        "words": b"Uri(http://192.0.2.1/a,b)/Wi-Fi(example)/Bluetooth(001122AABBCC)/I1394(00D0B7FFFE1E4B5A)/Vlan(7)",
        "several": b"MemoryMapped(0x3,0x1000,0x1FFF),USB(0x1,0x0)/Fv(00112233-4455-6677-8899-AABBCCDDEEFF)",
    }


def target(data):
    # As a path, and as the text that a program hands over.
    text = to_text(data)
    assert "\0" not in text
    path = from_text(data.decode("utf-16-le", "surrogatepass") if data[1:2] == b"\0" else data.decode("latin-1"))
    assert path.endswith(END)
    whole = list(nodes(path))
    assert path.startswith(b"".join(whole))
    assert all(4 <= len(each) <= 0xFFFF for each in whole)
    to_text(path)
