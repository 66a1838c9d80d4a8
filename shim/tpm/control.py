"""swtpm's control channel: what hardware around a TPM does beside commands (swtpm_ioctl.h in swtpm's source).

Each request is a number and what belongs to it, each answer a result, all big-endian.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from shim.errors import UnreadableError
from shim.tpm.connection import Connection

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

#: How much of a dynamic launch's data goes into one request.
_CHUNK = 4096
#: Of INIT: the state that was stored is not to be taken up a second time.
_DELETE_VOLATILE = 1


class Request(IntEnum):
    """The requests that are used here."""

    INIT = 2
    SET_LOCALITY = 5
    HASH_START = 6
    HASH_DATA = 7
    HASH_END = 8
    STORE_VOLATILE = 10
    STOP = 14
    SET_DATAFD = 16


def beside(where: str) -> str:
    """Where the control channel of an swtpm is, as tpm2-tools expect it: the next port, or a socket named .ctrl."""
    if "/" in where:
        return f"{where}.ctrl"
    host, _, port = where.rpartition(":")
    return f"{host}:{int(port) + 1}"


class Control:
    """The control channel of an swtpm, which is at *where*; its methods raise UnreadableError."""

    def __init__(self, where: str, patience: float) -> None:
        self._connection = Connection(where, "control channel of an swtpm", patience)

    def begin(self) -> None:
        """Power on: nothing is left of what registers held."""
        # A state that was kept is taken up once more, and gone then.
        self._ask(Request.STOP)
        self._ask(Request.INIT, _DELETE_VOLATILE.to_bytes(4, "big"))
        self._ask(Request.STOP)
        self._ask(Request.INIT, bytes(4))

    def take_commands_from(self, data: socket.socket) -> None:
        """Commands come through that socket."""
        self._ask(Request.SET_DATAFD, files=(data.fileno(),))

    def keep(self) -> None:
        """Power off, but who begins with it next finds the TPM as it is now."""
        self._ask(Request.STORE_VOLATILE)
        self._ask(Request.STOP)

    def set_locality(self, locality: int) -> None:
        """From which locality the commands come that follow."""
        self._ask(Request.SET_LOCALITY, bytes([locality]))

    def launch(self, measured: bytes) -> None:
        """A dynamic launch: PCRs 17 to 22 begin anew, and *measured* goes into 17."""
        self.set_locality(4)
        self._ask(Request.HASH_START)
        for at in range(0, len(measured), _CHUNK):
            some = measured[at : at + _CHUNK]
            self._ask(Request.HASH_DATA, struct.pack(">I", len(some)) + some)
        self._ask(Request.HASH_END)
        self.set_locality(0)

    def close(self) -> None:
        """Leave it."""
        self._connection.close()

    def _ask(self, request: Request, more: bytes = b"", files: Sequence[int] = ()) -> None:
        deadline = self._connection.deadline()
        self._connection.send(struct.pack(">I", request) + more, deadline, files)
        result = int.from_bytes(self._connection.receive(4, deadline), "big")
        if result:
            raise UnreadableError(f"the swtpm refuses {request.name}: {result:#x}")
