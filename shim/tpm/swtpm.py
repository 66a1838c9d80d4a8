"""The `TpmTransport` port over a socket: an swtpm that somebody has started on this machine.

It is started with, for example, ``swtpm socket --tpm2 --tpmstate dir=D --server type=tcp,port=2321 --flags
not-need-init``. Commands go to its data channel as they are, one at a time. Other localities than 0, and dynamic
launches, need its control channel too: ``--ctrl type=tcp,port=2322``.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from efi_services.tcg.commands import HEADER, MAX_BYTES
from shim.tpm.connection import Connection
from shim.tpm.control import Control, beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from efi_services.tcg.algorithms import Algorithm

#: Seconds for a command; the longest that boot programs send takes a few milliseconds.
PATIENCE = 10.0


class Swtpm:
    """A connection that lasts as long as a run; *where* is host:port, or the path of a socket."""

    def __init__(self, where: str, patience: float = PATIENCE, data: socket.socket | None = None) -> None:
        self._where = where
        self._patience = patience
        self._connection = Connection(where, "swtpm", patience, data)
        self._control: Control | None = None

    def transmit(self, command: bytes, locality: int = 0) -> bytes:
        """What the TPM answers.

        Raises:
            UnreadableError: it does not answer, or what comes is no response.
            MissingError: another locality is asked for, and there is no control channel.
        """
        if not locality:
            return self._transmit(command)
        self._controlled().set_locality(locality)
        response = self._transmit(command)
        self._controlled().set_locality(0)
        return response

    def launch(self, measured: bytes) -> None:
        """A dynamic launch of *measured*; raises as `transmit` does."""
        self._controlled().launch(measured)

    def resume(self, values: Mapping[int, Mapping[Algorithm, bytes]]) -> None:
        """It has kept them itself."""

    def release(self) -> None:
        """Each command takes its locality for itself and gives it back."""

    @property
    def locality(self) -> int | None:
        """None is held between two commands."""
        return None

    def close(self) -> None:
        """Leave the TPM to others."""
        self._connection.close()
        if self._control is not None:
            self._control.close()

    def _controlled(self) -> Control:
        if self._control is None:
            self._control = Control(beside(self._where), self._patience)
        return self._control

    def _transmit(self, command: bytes) -> bytes:
        deadline = self._connection.deadline()
        self._connection.send(command, deadline)
        head = self._connection.receive(HEADER.size, deadline)
        _, size, _ = HEADER.unpack(head)
        if not HEADER.size <= size <= MAX_BYTES:
            self._connection.give_up(f"answers with a length of {size}: is it an swtpm?")
        return head + self._connection.receive(size - HEADER.size, deadline)


@contextmanager
def powered_on(control: str, patience: float = PATIENCE) -> Iterator[Swtpm]:
    """The TPM of an swtpm that takes commands from who asks at its *control* channel: just powered on.

    Where all goes well, the next one who begins with it, such as QEMU, finds it as it was left.

    Raises:
        MissingError: there is no swtpm.
        UnreadableError: it refuses, or is gone.
    """
    channel = Control(control, patience)
    ours, theirs = socket.socketpair()
    swtpm = Swtpm(control, patience, ours)
    try:
        with theirs:
            channel.take_commands_from(theirs)
        channel.begin()
        yield swtpm
        channel.keep()
    finally:
        swtpm.close()
        channel.close()
