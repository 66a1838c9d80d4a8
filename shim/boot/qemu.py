"""A hand-off, gone on with in QEMU until the guest ends or its time is up."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from shim.boot import entry, runtime
from shim.boot.machines import board_of, check, command
from shim.boot.memory import SharedRam
from shim.errors import NotRunnableError, UnreadableError
from shim.pages import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shim.boot.given import Given

#: How often memory is looked at while the machine starts.
_LOOK_S = 0.002
#: Of QEMU's complaints, what is kept.
_MOST_SAID = 1 << 16
_READ = 1 << 16


def boot(
    given: Given, digest: str, max_seconds: float, show: Callable[[bytes], None], swtpm: Path | None = None
) -> bool:
    """Let the kernel run; *show* gets what it writes to the serial port. Says whether the guest came to its end.

    *swtpm* is the control socket of a software TPM for it.

    Raises:
        MissingError: there is no QEMU, or an old one.
        NotRunnableError: no machine of QEMU's can be brought to that state, or QEMU refuses.
        UsageError: the machine has no TPM.
        UnreadableError: the image of RAM is damaged, or its pages haven't *digest*.
    """
    board = board_of(given.platform)
    check(board)
    until = time.monotonic() + max_seconds
    at = entry.place(given.state, lambda address, size: memoryview(given.ram.read(address, size)))
    page = entry.page(given.state, at)
    with SharedRam(given.platform.memory.ranges) as ram, _file(entry.rom(given.state.architecture, at)) as rom:
        words = command(board, given.platform, f"/proc/self/fd/{ram.file}", f"/proc/self/fd/{rom}", swtpm)
        with _Qemu(words, (ram.file, rom), until) as qemu:
            if not qemu.wait(lambda: ram.word(at + entry.READY) != 0):
                return False
            with qemu.held():
                found = Digest()
                # What the entry page held would look as if memory were filled.
                ram.fill((each for each in found.through(given.ram.pages()) if each[0] != at), board.kept)
                if found.hexdigest() != digest:
                    raise UnreadableError(f"{given.ram.path}: not the RAM that run.json tells of")
                for address, data in runtime.patches(given, given.ram.read):
                    ram.write(address, data)
                ram.write(at, page)
                ram.write(at + entry.GO, (1).to_bytes(8, "little"))
            return qemu.listen(show)


class _Qemu:
    """The process; raises NotRunnableError where it ends without having run the guest."""

    def __init__(self, words: list[str], files: tuple[int, ...], until: float) -> None:
        self._until = until
        self._said = bytearray()
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=files
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for each in (self._process.stdout, self._process.stderr):
            if each is not None:
                each.close()

    def wait(self, ready: Callable[[], bool]) -> bool:
        """Wait until something is so; False when time is up before."""
        while not ready():
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                self._said += self._process.stderr.read(_MOST_SAID)
                raise self._refusal()
            if time.monotonic() > self._until:
                return False
            time.sleep(_LOOK_S)
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop it for a while: what waits for memory in it would take a CPU from who fills that."""
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    def listen(self, show: Callable[[bytes], None]) -> bool:
        """Hand on what the guest writes, until it ends; False when time is up before."""
        process = self._process
        assert process.stdout is not None
        assert process.stderr is not None
        with selectors.DefaultSelector() as selector:
            for each in (process.stdout, process.stderr):
                selector.register(each, selectors.EVENT_READ)
            while selector.get_map():
                left = self._until - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in selector.select(left):
                    data = os.read(key.fd, _READ)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stdout:
                        show(data)
                    elif len(self._said) < _MOST_SAID:
                        self._said += data
        if process.wait() != 0:
            raise self._refusal()
        return True

    def _refusal(self) -> NotRunnableError:
        lines = self._said.decode("utf-8", "replace").splitlines()
        # It warns before it refuses.
        why = next((each for each in reversed(lines) if each.strip()), "it says nothing")
        return NotRunnableError(f"QEMU ended with status {self._process.returncode}: {why}")


@contextmanager
def _file(data: bytes) -> Iterator[int]:
    """A file without a name."""
    file = os.memfd_create("rom")
    try:
        os.write(file, data)
        yield file
    finally:
        os.close(file)
