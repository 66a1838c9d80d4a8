"""The `TpmTransport` port over a socket: an swtpm that somebody has started on this machine.

It is started with, for example, ``swtpm socket --tpm2 --tpmstate dir=D --server type=tcp,port=2321 --flags
not-need-init``. Commands go to its data channel as they are, one at a time.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from efi_services.tcg.commands import HEADER, MAX_BYTES
from shim.errors import MissingError, UnreadableError

if TYPE_CHECKING:
    from typing import NoReturn

#: Seconds for a command; the longest that boot programs send takes a few milliseconds.
PATIENCE = 10.0


class Swtpm:
    """A connection that lasts as long as a run; *where* is host:port, or the path of a socket."""

    def __init__(self, where: str, patience: float = PATIENCE) -> None:
        self._where = where
        self._patience = patience
        self._socket = self._connect()

    def transmit(self, command: bytes, locality: int = 0) -> bytes:
        """What the TPM answers.

        Raises:
            UnreadableError: it does not answer, or what comes is no response.
            ValueError: another locality than 0, which would need swtpm's control channel.
        """
        if locality:
            raise ValueError("swtpm is used at locality 0 only")
        deadline = time.monotonic() + self._patience
        try:
            self._allow_until(deadline)
            self._socket.sendall(command)
            head = self._receive(HEADER.size, deadline)
            _, size, _ = HEADER.unpack(head)
            if not HEADER.size <= size <= MAX_BYTES:
                self._give_up(f"answers with a length of {size}: is it an swtpm?")
            return head + self._receive(size - HEADER.size, deadline)
        except TimeoutError:
            self._give_up(f"did not answer within {self._patience:g} seconds")
        except OSError as error:
            self._give_up(f"is gone: {error.strerror or error}")

    def close(self) -> None:
        """Leave the TPM to others."""
        self._socket.close()

    def _connect(self) -> socket.socket:
        try:
            if "/" not in self._where:
                host, _, port = self._where.rpartition(":")
                return socket.create_connection((host.strip("[]"), int(port)), self._patience)
            made = socket.socket(socket.AF_UNIX)
            try:
                made.settimeout(self._patience)
                made.connect(self._where)
            except BaseException:
                made.close()
                raise
        except OSError as error:
            raise MissingError(
                f"no swtpm at {self._where}: {error.strerror or error}; start one, or leave swtpm out of the platform"
            ) from None
        return made

    def _receive(self, size: int, deadline: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            self._allow_until(deadline)
            piece = self._socket.recv(size - len(found))
            if not piece:
                self._give_up("closed the connection")
            found += piece
        return bytes(found)

    def _allow_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _give_up(self, why: str) -> NoReturn:
        self.close()
        raise UnreadableError(f"the swtpm at {self._where} {why}")
