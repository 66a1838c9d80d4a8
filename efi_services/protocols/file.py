"""EFI_FILE_PROTOCOL, revision 2 (UEFI 2.10, section 13.5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from efi_services import file_info
from efi_services.handles import HANDLE_BYTES
from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import (
    UINT64,
    Buffer,
    Bytes,
    CStr16,
    EventHandle,
    Flags64,
    Guid,
    In,
    InOut,
    Out,
    Pointer,
    StatusCode,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.firmware import Firmware
    from efi_services.ports import FileNode
    from efi_services.volume import Place, Volume

REVISION = 0x2_0000
READ, WRITE, CREATE = 1, 2, 1 << 63
#: Attributes that a file may be created with.
_CREATED = file_info.DIRECTORY | file_info.HIDDEN | file_info.SYSTEM | file_info.ARCHIVE
#: A position that means the end of the file.
END_OF_FILE = (1 << 64) - 1
#: Bytes that are moved at once.
STEP = 16 << 20


@struct
class FileIoToken(Struct):
    """EFI_FILE_IO_TOKEN (section 13.5.3)."""

    event: EventHandle
    status: StatusCode
    buffer_size: Bytes
    buffer: Pointer


@protocol(None, name="EFI_FILE_PROTOCOL", spec="13.5")
class File:
    """An open file or directory of a volume that is write-protected."""

    revision = REVISION

    def __init__(self, firmware: Firmware, volume: Volume, place: Place) -> None:
        self._firmware = firmware
        self._volume = volume
        self._place = place
        self._position = 0
        self._address = 0

    @classmethod
    def open_at(cls, firmware: Firmware, volume: Volume, place: Place) -> int:
        """Open what lies there; gives the address of the interface."""
        made = cls(firmware, volume, place)
        made._address = firmware.publish(made, f"open file {place.path}", HANDLE_BYTES)
        return made._address

    revision_member = Member("Revision", UINT64, value="revision")

    @method("Open", "13.5.2")
    def open(self, opened: Out[Pointer], name: CStr16, mode: Flags64, attributes: Flags64) -> Status:
        """Open a file for reading, by a path relative to this one; WRITE_PROTECTED for more than reading."""
        if mode not in (READ, READ | WRITE, READ | WRITE | CREATE):
            raise EfiError(Status.INVALID_PARAMETER)
        if mode & CREATE and attributes & ~_CREATED:
            raise EfiError(Status.INVALID_PARAMETER)
        if mode & WRITE:
            raise EfiError(Status.WRITE_PROTECTED)
        opened.set(self.open_at(self._firmware, self._volume, self._volume.locate(self._place, name)))
        return Status.SUCCESS

    @method("Close", "13.5.7")
    def close(self) -> Status:
        """Close the file."""
        self._firmware.withdraw(self._address)
        return Status.SUCCESS

    @method("Delete", "13.5.8")
    def delete(self) -> Status:
        """Close the file, which stays."""
        self.close()
        return Status.WARN_DELETE_FAILURE

    @method("Read", "13.5.9")
    def read(self, size: InOut[Bytes], buffer: Buffer | None) -> Status:
        """Read on from the position; of a directory, the next entry."""
        room = size.get()
        if buffer is None and room:
            raise EfiError(Status.INVALID_PARAMETER)
        if self._place.node.directory:
            self._read_directory(room, size.set, buffer)
        else:
            size.set(self._read_file(room, buffer))
        return Status.SUCCESS

    @method("Write", "13.5.10")
    def write(self, size: InOut[Bytes], buffer: Buffer) -> Status:
        """Refuse: the volume is write-protected."""
        raise EfiError(self._refusal)

    @method("GetPosition", "13.5.12")
    def get_position(self, position: Out[UINT64]) -> Status:
        """Tell where the next read begins; a directory has no such place."""
        if self._place.node.directory:
            raise EfiError(Status.UNSUPPORTED)
        position.set(self._position)
        return Status.SUCCESS

    @method("SetPosition", "13.5.11")
    def set_position(self, position: UINT64) -> Status:
        """Move to a place in the file, or to its end; a directory can be begun anew."""
        if self._place.node.directory and position:
            raise EfiError(Status.UNSUPPORTED)
        self._position = self._place.node.size if position == END_OF_FILE else position
        return Status.SUCCESS

    @method("GetInfo", "13.5.13")
    def get_info(self, kind: In[Guid], size: InOut[Bytes], buffer: Buffer | None) -> Status:
        """Tell of the file, or of the volume."""
        tree = self._volume.tree
        match kind:
            case file_info.FILE_INFO:
                node = self._place.node
                data = file_info.of_file(node, node.name if self._place.parents else "", tree.block_size)
            case file_info.FILE_SYSTEM_INFO:
                data = file_info.of_volume(tree)
            case file_info.VOLUME_LABEL:
                data = file_info.of_label(tree)
            case _:
                raise EfiError(Status.UNSUPPORTED)
        _answer(data, size.get(), size.set, buffer)
        return Status.SUCCESS

    @method("SetInfo", "13.5.14")
    def set_info(self, kind: In[Guid], size: Bytes, buffer: Buffer) -> Status:
        """Refuse: the volume is write-protected."""
        if kind not in (file_info.FILE_INFO, file_info.FILE_SYSTEM_INFO, file_info.VOLUME_LABEL):
            raise EfiError(Status.UNSUPPORTED)
        raise EfiError(Status.WRITE_PROTECTED)

    @method("Flush", "13.5.15")
    def flush(self) -> Status:
        """Refuse: only what was opened for writing can be flushed, and nothing is."""
        raise EfiError(Status.ACCESS_DENIED)

    @method("OpenEx", "13.5.3")
    def open_ex(
        self, opened: Out[Pointer], name: CStr16, mode: Flags64, attributes: Flags64, token: InOut[FileIoToken]
    ) -> Status:
        """As Open; the token's event is signalled at once."""
        return self._with_token(token, lambda _asked: self.open(opened, name, mode, attributes))

    @method("ReadEx", "13.5.4")
    def read_ex(self, token: InOut[FileIoToken]) -> Status:
        """As Read, into the token's buffer."""
        return self._with_token(token, partial(self._read_for, token))

    @method("WriteEx", "13.5.5")
    def write_ex(self, token: InOut[FileIoToken]) -> Status:
        """Refuse: the volume is write-protected."""
        raise EfiError(self._refusal)

    @method("FlushEx", "13.5.6")
    def flush_ex(self, token: InOut[FileIoToken]) -> Status:
        """As Flush."""
        return self._with_token(token, lambda _asked: self.flush())

    @property
    def _refusal(self) -> Status:
        return Status.UNSUPPORTED if self._place.node.directory else Status.WRITE_PROTECTED

    def _read_directory(self, room: int, answer: Callable[[int], None], buffer: Buffer | None) -> None:
        entry = self._entry(self._position)
        if entry is None:
            answer(0)
            return
        data = file_info.of_file(*entry, self._volume.tree.block_size)
        _answer(data, room, answer, buffer)
        self._position += 1

    def _entry(self, index: int) -> tuple[FileNode, str] | None:
        """An entry of a directory; below the root, it lists itself and the one above too, as FAT has them."""
        place = self._place
        dots = [(place.node, "."), (place.parents[-1].node, "..")] if place.parents else []
        if index < len(dots):
            return dots[index]
        listed = self._volume.children(place.node)
        index -= len(dots)
        return (listed[index], listed[index].name) if index < len(listed) else None

    def _read_file(self, room: int, buffer: Buffer | None) -> int:
        node, begin = self._place.node, self._position
        if begin > node.size:
            raise EfiError(Status.DEVICE_ERROR)
        end = min(begin + room, node.size)
        while buffer is not None and self._position < end:
            data = self._volume.read(node, self._position, min(STEP, end - self._position))
            if not data:
                raise EfiError(Status.VOLUME_CORRUPTED)
            at = buffer.address + self._position - begin
            self._firmware.memory.write(at, data)
            self._firmware.observer.provided(f"file {self._place.path}", at, data)
            self._position += len(data)
        return end - begin

    def _read_for(self, token: InOut[FileIoToken], asked: FileIoToken) -> Status:
        at = token.address + FileIoToken.offsetof(self._firmware.abi, "buffer_size")
        if not asked.buffer and asked.buffer_size:
            raise EfiError(Status.INVALID_PARAMETER)
        buffer = Buffer(asked.buffer, self._firmware.memory)

        def answer(size: int) -> None:
            self._firmware.memory.write(at, self._firmware.abi.pack(size))

        if self._place.node.directory:
            self._read_directory(asked.buffer_size, answer, buffer)
        else:
            answer(self._read_file(asked.buffer_size, buffer))
        return Status.SUCCESS

    def _with_token(self, token: InOut[FileIoToken], act: Callable[[FileIoToken], Status]) -> Status:
        """Do it now, note the status, and signal the event, if there is one."""
        asked = token.get()
        result = act(asked)
        at = token.address + FileIoToken.offsetof(self._firmware.abi, "status")
        self._firmware.memory.write(at, self._firmware.abi.pack(int(result)))
        if asked.event:
            self._firmware.events.signal(asked.event)
        return result


def _answer(data: bytes, room: int, answer: Callable[[int], None], buffer: Buffer | None) -> None:
    """Give *data* where there is room for it; else say how much it takes."""
    answer(len(data))
    if room < len(data) or buffer is None:
        raise EfiError(Status.BUFFER_TOO_SMALL)
    buffer.write(data)
