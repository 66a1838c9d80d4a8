"""EFI_LOAD_OPTION (UEFI 2.10, section 3.1.3): what the variables Boot#### hold."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from efi_services import device_path

ACTIVE = 0x0000_0001


@dataclass(frozen=True, slots=True)
class LoadOption:
    """What to boot: a name for people, the device path of a file, and the image's load options."""

    description: str
    path: bytes
    data: bytes = b""
    attributes: int = ACTIVE

    @property
    def active(self) -> bool:
        """Whether it is tried without being asked for."""
        return bool(self.attributes & ACTIVE)

    def pack(self) -> bytes:
        """The variable's contents."""
        text = (self.description + "\0").encode("utf-16-le")
        return struct.pack("<IH", self.attributes, len(self.path)) + text + self.path + self.data

    @classmethod
    def unpack(cls, data: bytes) -> LoadOption:
        """The option in *data*; raises ValueError where it is none."""
        if len(data) < 6:
            raise ValueError("no load option")
        attributes, size = struct.unpack_from("<IH", data)
        end = next((at for at in range(6, len(data) - 1, 2) if data[at : at + 2] == b"\0\0"), None)
        if end is None or end + 2 + size > len(data):
            raise ValueError("a load option that is cut off")
        path = data[end + 2 : end + 2 + size]
        # There may be several paths; the first is the one to boot.
        whole = b"".join(device_path.nodes(path)) + device_path.END
        if not path.startswith(whole):
            raise ValueError("a load option whose device path has no end")
        return cls(data[6:end].decode("utf-16-le", "replace"), whole, data[end + 2 + size :], attributes)
