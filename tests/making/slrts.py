"""SLR tables as TrenchBoot's headers say, typed from those and not taken from the code under test."""

import struct

from efi_services.slaunch import slrt


class BuildSlrt:
    """SLR tables as a boot loader makes them, in a layout."""

    @staticmethod
    def entry(tag, body, layout):
        return layout.head.pack(tag, layout.head.size + len(body)) + body

    @staticmethod
    def policy(entries, layout):
        body = struct.pack("<4xHH" if layout.wide else "<HH", 1, len(entries))
        for each in entries:
            numbers = (each.size, 0x5000) if layout.wide else (0x5000, each.size)
            body += struct.pack("<HHHHQQ32s", each.pcr, each.entity, 1, 0, *numbers, each.text.encode())
        return BuildSlrt.entry(slrt.Tag.ENTRY_POLICY, body, layout)

    @staticmethod
    def config(entries, layout):
        body = struct.pack("<4xHH" if layout.wide else "<HH", 1, len(entries))
        body += b"".join(
            struct.pack("<HHIQ32s", each.pcr, 0, each.size, 0x6000, each.text.encode()) for each in entries
        )
        return BuildSlrt.entry(slrt.Tag.UEFI_CONFIG, body, layout)

    POLICY = (slrt.Measured(18, 1, "Measured SLR Table"), slrt.Measured(17, 6, "Measured Kernel initrd", 4000))
    CONFIG = (slrt.Measured(18, 0, "Measured UEFI memory map", 60),)

    @classmethod
    def table(cls, layout, architecture=slrt.TXT, more=b"", *, first=b"", address=0, policy=POLICY, config=CONFIG):
        mtrrs = struct.pack("<QQ", 6, 1) + bytes(8) + b"\x12" * 8 + bytes(31 * 16)
        info = struct.pack("<Q", address) * layout.addresses + struct.pack("<Q", 0x850089) + mtrrs
        entries = first + cls.entry(slrt.Tag.DL_INFO, struct.pack("<Q", address) * 5, layout)
        entries += cls.policy(policy, layout) + cls.entry(slrt.Tag.INTEL_INFO, info, layout)
        entries += (cls.config(config, layout) if config else b"") + more + cls.entry(slrt.Tag.END, b"", layout)
        return struct.pack("<IHHII", slrt.MAGIC, 1, architecture, 16 + len(entries), 4096) + entries
