"""A connection to something on this machine that answers what it is asked, in time or not at all."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from shim.errors import MissingError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


class Connection:
    """A socket: *where* is host:port, or a path; *what* is the word for it in errors. It may have been *made* already.

    `send` and `receive` raise UnreadableError, and close it then.
    """

    def __init__(self, where: str, what: str, patience: float, made: socket.socket | None = None) -> None:
        self._where = where
        self._what = what
        self._patience = patience
        self._socket = made or self._connect()

    def deadline(self) -> float:
        """The end of our patience with what is asked now."""
        return time.monotonic() + self._patience

    def send(self, data: bytes, deadline: float, files: Sequence[int] = ()) -> None:
        """Send all of it, with descriptors of open files over a socket that has a path."""
        try:
            self._allow_until(deadline)
            if files:
                socket.send_fds(self._socket, [data], files)
            else:
                self._socket.sendall(data)
        except OSError as error:
            self._fail(error)

    def receive(self, size: int, deadline: float) -> bytes:
        """Exactly so many bytes."""
        found = bytearray()
        try:
            while len(found) < size:
                self._allow_until(deadline)
                piece = self._socket.recv(size - len(found))
                if not piece:
                    self.give_up("closed the connection")
                found += piece
        except OSError as error:
            self._fail(error)
        return bytes(found)

    def give_up(self, why: str) -> NoReturn:
        """Close it, and raise UnreadableError."""
        self.close()
        raise UnreadableError(f"the {self._what} at {self._where} {why}")

    def close(self) -> None:
        """Leave it to others."""
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
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise MissingError(f"no {self._what} at {self._where}: {why}") from None
        return made

    def _allow_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _fail(self, error: OSError) -> NoReturn:
        if isinstance(error, TimeoutError):
            self.give_up(f"did not answer within {self._patience:g} seconds")
        self.give_up(f"is gone: {error.strerror or error}")
