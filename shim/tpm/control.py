"""swtpm's control channel: what hardware around a TPM does beside commands (swtpm_ioctl.h in swtpm's source).

Each request is a number and what belongs to it, each answer a result, all big-endian.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from shim.errors import UnreadableError
from shim.tpm.connection import Connection

#: How much of a dynamic launch's data goes into one request.
_CHUNK = 4096


class Request(IntEnum):
    """The requests that are used here."""

    SET_LOCALITY = 5
    HASH_START = 6
    HASH_DATA = 7
    HASH_END = 8


def beside(where: str) -> str:
    """Where the control channel of an swtpm is, as tpm2-tools expect it: the next port, or a socket named .ctrl."""
    if "/" in where:
        return f"{where}.ctrl"
    host, _, port = where.rpartition(":")
    return f"{host}:{int(port) + 1}"


class Control:
    """The control channel of the swtpm at *where*; its methods raise UnreadableError."""

    def __init__(self, where: str, patience: float) -> None:
        self._connection = Connection(beside(where), "control channel of an swtpm", patience)

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

    def _ask(self, request: Request, more: bytes = b"") -> None:
        deadline = self._connection.deadline()
        self._connection.send(struct.pack(">I", request) + more, deadline)
        result = int.from_bytes(self._connection.receive(4, deadline), "big")
        if result:
            raise UnreadableError(f"the swtpm refuses {request.name}: {result:#x}")
