"""Where what a kernel finds comes from: which service, or which instruction, wrote each part of it last."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from shim.errors import DiffersError, UnreadableError
from shim.handoff import state as handoff
from shim.replay.replay import do_again, request_of
from shim.trace.last_writers import LastWriters
from shim.trace.writer import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.replay.replay import Given
    from shim.session.request import Progress
    from shim.trace.folder import RunFolder
    from shim.trace.last_writers import Writer

FILE = "handoff/origins.json"
#: Of a larger part, such as an initrd, so many bytes are looked at.
_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """Who wrote *size* bytes last, *offset* bytes into a part.

    A service has its name under *service* and its number under *call*: None there is what the firmware did before the
    first call. An instruction has *pc* and *function*, and under *call* and *service* the call before it. Nobody, who
    is behind bytes that are as memory is at power-on, has nothing.
    """

    offset: int
    size: int
    by: str
    call: int | None = None
    service: str | None = None
    pc: int | None = None
    function: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """A part of what a kernel finds, and where its bytes come from: those at its begin, of a large one."""

    name: str
    address: int
    size: int
    sources: tuple[Source, ...]


def find_origins(
    run: RunFolder, given: Given, progress: Callable[[Progress], None] = lambda _progress: None
) -> list[Origin]:
    """Do *run* again, watch what it leaves to the kernel, and store its origins in the folder.

    Raises:
        UnreadableError: there is no hand-off, or a damaged one.
        DiffersError: the replay was another run.
    """
    parts = _parts(run)
    watched = LastWriters((address, min(size, _MOST_BYTES)) for _, address, size in parts)
    with do_again(run, replace(request_of(run, given), watched=watched), progress) as (_made, differs):
        if differs:
            raise DiffersError(f"{run.path}: the replay was another run: {'; '.join(differs)}")
    sources = _Sources(run)
    found = [
        Origin(name, address, size, tuple(map(sources.of, watched.of(address, min(size, _MOST_BYTES)))))
        for name, address, size in parts
    ]
    write_whole(run.path / FILE, json.dumps([asdict(each) for each in found], indent=2) + "\n")
    return found


def load_origins(run: RunFolder) -> list[Origin]:
    """What `find_origins` has stored; raises UnreadableError where that is damaged, or there is nothing."""
    path = run.path / FILE
    try:
        return [
            Origin(each["name"], each["address"], each["size"], tuple(Source(**source) for source in each["sources"]))
            for each in json.loads(path.read_text(encoding="utf-8"))
        ]
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UnreadableError(f"{path}: damaged") from None


def _parts(run: RunFolder) -> list[tuple[str, int, int]]:
    state = run.json("handoff/state.json")
    if state is None:
        raise UnreadableError(f"{run.path}: no kernel entry was reached, so there is no hand-off")
    try:
        return [(name, int(address), int(size)) for name, address, size in handoff.parts(run.path, state) if size > 0]
    except OSError as error:
        raise UnreadableError(f"{error.filename}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnreadableError(f"{run.path}: the state at the kernel entry is damaged") from None


class _Sources:
    """Names for writers, out of a run's tables."""

    def __init__(self, run: RunFolder) -> None:
        calls = sorted(run.table("calls").to_pylist(), key=lambda call: call["seq"])
        self._names = [".".join(filter(None, (each["protocol"], each["service"]))) for each in calls]
        self._before = [each["first_access"] for each in calls]
        self._lives = {each["id"]: (each["born_call"], each["died_call"]) for each in run.table("regions").to_pylist()}
        self._functions = run.table("functions").to_pylist()
        self._known: dict[tuple[int, int], str | None] = {}

    def of(self, writer: Writer) -> Source:
        if writer.seq is not None and writer.pc is not None:
            begun = bisect_right(self._before, writer.seq)
            where = writer.pc, self._function(writer.pc, begun)
            return Source(writer.offset, writer.size, "instruction", *self._call(begun - 1), *where)
        if writer.call is None:
            return Source(writer.offset, writer.size, "nobody")
        return Source(writer.offset, writer.size, "service", *self._call(writer.call))

    def _call(self, number: int) -> tuple[int | None, str | None]:
        return (number, self._names[number]) if 0 <= number < len(self._names) else (None, None)

    def _function(self, pc: int, begun: int) -> str | None:
        if (pc, begun) not in self._known:
            self._known[pc, begun] = next(self._functions_at(pc, begun), None)
        return self._known[pc, begun]

    def _functions_at(self, pc: int, begun: int) -> Iterator[str]:
        for each in self._functions:
            born, died = self._lives.get(each["region"], (None, None))
            lived = begun > (-1 if born is None else born) and (died is None or begun <= died)
            if each["start"] <= pc < each["end"] and lived:
                yield each["name"]
