"""A model of a TPM 2.0: its PCRs, and the commands that boot programs send (TPM 2.0 Library, part 3).

There are no keys, no sessions but passwords, and nothing that outlives the run; other commands get
TPM_RC_COMMAND_CODE. What it does answer, swtpm answers too, but for a bad tag, where swtpm leaves the specification.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services.tcg import commands
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.authorization import authorize
from efi_services.tcg.capabilities import capability
from efi_services.tcg.commands import HEADER, NULL_HANDLE, Code, Parameters, Rc, TpmError, at_handle, at_parameter
from efi_services.tcg.registers import PCRS, LocalityError, Pcrs
from efi_services.tcg.sequences import Sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from efi_services.ports import Clock, Entropy

#: How many handles a command has, and how many of them need an authorization.
_HANDLES = {
    Code.PCR_READ: (0, 0),
    Code.PCR_EXTEND: (1, 1),
    Code.PCR_EVENT: (1, 1),
    Code.PCR_RESET: (1, 1),
    Code.SEQUENCE_UPDATE: (1, 1),
    Code.SEQUENCE_COMPLETE: (1, 1),
    Code.EVENT_SEQUENCE_COMPLETE: (2, 2),
}
#: Where a handle is a PCR, and where it is a sequence.
_PCR_FIRST = (Code.PCR_EXTEND, Code.PCR_EVENT, Code.PCR_RESET, Code.EVENT_SEQUENCE_COMPLETE)
#: Changes of these PCRs are not counted (PC Client Platform TPM Profile, table 6).
_UNCOUNTED = (16, 21, 22, 23)
MAX_EVENT, MAX_RANDOM = 1024, 64
#: No ticket says more: there is no proof that would make one.
_NULL_TICKET = struct.pack(">HIH", 0x8024, NULL_HANDLE, 0)


class Tpm:
    """Fills the `TpmTransport` port. *active* are its PCR banks; it knows all of `Algorithm`."""

    def __init__(self, active: tuple[Algorithm, ...], entropy: Entropy, clock: Clock) -> None:
        self.pcrs = Pcrs(active)
        self._entropy = entropy
        self._clock = clock
        self._sequences = Sequences()
        self._started = False
        self._changes = 0
        #: The locality that software has requested and not given back.
        self.locality: int | None = None
        self._bodies: dict[Code, Callable[[tuple[int, ...], Parameters, int], bytes]] = {
            Code.STARTUP: self._startup,
            Code.SHUTDOWN: self._shutdown,
            Code.SELF_TEST: self._self_test,
            Code.GET_TEST_RESULT: self._test_result,
            Code.GET_CAPABILITY: self._capability,
            Code.GET_RANDOM: self._random,
            Code.STIR_RANDOM: self._stir,
            Code.READ_CLOCK: self._read_clock,
            Code.PCR_READ: self._pcr_read,
            Code.PCR_EXTEND: self._pcr_extend,
            Code.PCR_EVENT: self._pcr_event,
            Code.PCR_RESET: self._pcr_reset,
            Code.HASH: self._hash,
            Code.HASH_SEQUENCE_START: self._sequence_start,
            Code.SEQUENCE_UPDATE: self._sequence_update,
            Code.SEQUENCE_COMPLETE: self._sequence_complete,
            Code.EVENT_SEQUENCE_COMPLETE: self._event_sequence_complete,
        }

    def transmit(self, command: bytes, locality: int = 0) -> bytes:
        """Execute a command that comes from *locality*; gives the response, which may say why not."""
        self.locality = locality
        try:
            sessions, made = self._execute(command, locality)
        except TpmError as refusal:
            tag = commands.RESPONSE_OF_1_2 if refusal.code == Rc.BAD_TAG else commands.NO_SESSIONS
            return HEADER.pack(tag, HEADER.size, refusal.code)
        if not sessions:
            return HEADER.pack(commands.NO_SESSIONS, HEADER.size + len(made), Rc.SUCCESS) + made
        # No command with a handle in its response takes a session: the parameters are all of it.
        made = struct.pack(">I", len(made)) + made + struct.pack(">HBH", 0, 1, 0) * sessions
        return HEADER.pack(commands.SESSIONS, HEADER.size + len(made), Rc.SUCCESS) + made

    def launch(self, measured: bytes) -> None:
        """_TPM_Hash_Start, _TPM_Hash_Data and _TPM_Hash_End, as a dynamic launch makes them at locality 4."""
        self.pcrs.launch(measured)
        self._changes += len(self.pcrs.algorithms)

    def resume(self, values: Mapping[int, Mapping[Algorithm, bytes]]) -> None:
        """Let PCRs hold these values."""
        self.pcrs.resume(values)

    def release(self) -> None:
        """Let go of the locality that commands came from."""
        self.locality = None

    def _execute(self, data: bytes, locality: int) -> tuple[int, bytes]:
        """Check what all commands have in common (part 3, section 5), and run one."""
        if len(data) < 2 or int.from_bytes(data[:2], "big") not in (commands.NO_SESSIONS, commands.SESSIONS):
            raise TpmError(Rc.BAD_TAG)
        if len(data) < HEADER.size or int.from_bytes(data[2:6], "big") != len(data) or len(data) > commands.MAX_BYTES:
            raise TpmError(Rc.COMMAND_SIZE)
        tag, _, number = HEADER.unpack_from(data)
        code = Code(number) if number in Code._value2member_map_ else None
        if code is None:
            raise TpmError(Rc.COMMAND_CODE)
        if self._started == (code is Code.STARTUP):
            raise TpmError(Rc.INITIALIZE)
        count, authorized = _HANDLES.get(code, (0, 0))
        handles = self._handles(code, data[HEADER.size : HEADER.size + 4 * count], count)
        rest = data[HEADER.size + 4 * count :]
        sessions = 0
        if tag == commands.SESSIONS:
            if code is Code.STARTUP:
                raise TpmError(Rc.AUTH_CONTEXT)
            passwords = [self._sequences.passwords.get(each, b"") for each in handles[:authorized]]
            sessions, rest = authorize(rest, passwords)
        elif authorized:
            raise TpmError(Rc.AUTH_MISSING)
        return sessions, self._bodies[code](handles, Parameters(rest), locality)

    def _handles(self, code: Code, data: bytes, count: int) -> tuple[int, ...]:
        if len(data) < 4 * count:
            raise TpmError(at_handle(Rc.INSUFFICIENT, len(data) // 4 + 1))
        handles = struct.unpack(f">{count}I", data)
        for number, handle in enumerate(handles, 1):
            if code in _PCR_FIRST and number == 1:
                if handle >= PCRS and (handle != NULL_HANDLE or code is Code.PCR_RESET):
                    raise TpmError(at_handle(Rc.VALUE, number))
            else:
                self._sequences.check(handle, number)
        return handles

    def _startup(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        kind = parameters.number(2)
        if kind != 0:
            # Nothing was saved that STATE (1) could bring back.
            raise parameters.error(Rc.VALUE)
        parameters.end()
        self._started = True
        # That startup reset them is counted too.
        self._changes = PCRS - len(_UNCOUNTED)
        return b""

    def _shutdown(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        if parameters.number(2) > 1:
            raise parameters.error(Rc.VALUE)
        parameters.end()
        return b""

    def _self_test(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        if parameters.number(1) > 1:
            raise parameters.error(Rc.VALUE)
        parameters.end()
        return b""

    def _test_result(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        parameters.end()
        return commands.sized(b"") + struct.pack(">I", Rc.SUCCESS)

    def _capability(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        kind, first, count = (parameters.number(4) for _ in range(3))
        parameters.end()
        found = capability(kind, first, count, self.pcrs.algorithms)
        if found is None:
            raise TpmError(at_parameter(Rc.VALUE, 2 if kind == commands.CAP_PCRS else 1))
        return found

    def _random(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        size = parameters.number(2)
        parameters.end()
        return commands.sized(self._entropy.take(min(size, MAX_RANDOM)))

    def _stir(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        parameters.sized(128)
        parameters.end()
        return b""

    def _read_clock(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        parameters.end()
        milliseconds = self._clock.now // 1_000_000
        return struct.pack(">QQIIB", milliseconds, milliseconds, 0, 0, 1)

    def _pcr_read(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        wanted = parameters.selections()
        parameters.end()
        read: list[bytes] = []
        given: list[tuple[Algorithm, int]] = []
        for algorithm, bits in wanted:
            found = 0
            for index in range(PCRS):
                active = algorithm in self.pcrs.algorithms
                if bits >> index & 1 and active and len(read) < commands.MAX_DIGESTS:
                    read.append(commands.sized(self.pcrs.value(algorithm, index)))
                    found |= 1 << index
            given.append((algorithm, found))
        head = struct.pack(">I", self._changes) + commands.pcr_selections(given)
        return head + struct.pack(">I", len(read)) + b"".join(read)

    def _pcr_extend(self, handles: tuple[int, ...], parameters: Parameters, locality: int) -> bytes:
        values = parameters.digests()
        parameters.end()
        self._extend(handles[0], values, locality)
        return b""

    def _pcr_event(self, handles: tuple[int, ...], parameters: Parameters, locality: int) -> bytes:
        data = parameters.sized(MAX_EVENT)
        parameters.end()
        values = digests(tuple(Algorithm), data)
        self._extend(handles[0], values, locality)
        return commands.digest_values(values)

    def _pcr_reset(self, handles: tuple[int, ...], parameters: Parameters, locality: int) -> bytes:
        parameters.end()
        try:
            self.pcrs.reset(handles[0], locality)
        except LocalityError:
            raise TpmError(Rc.LOCALITY) from None
        self._count(handles[0], 1)
        return b""

    def _hash(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        data = parameters.sized(MAX_EVENT)
        algorithm = parameters.algorithm()
        _hierarchy(parameters)
        parameters.end()
        assert algorithm is not None
        return commands.sized(algorithm.digest(data)) + _NULL_TICKET

    def _sequence_start(self, _handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        password = parameters.sized(MAX_RANDOM)
        algorithm = parameters.algorithm(null=True)
        parameters.end()
        return struct.pack(">I", self._sequences.start(algorithm, password))

    def _sequence_update(self, handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        data = parameters.sized(MAX_EVENT)
        parameters.end()
        self._sequences.update(handles[0], data)
        return b""

    def _sequence_complete(self, handles: tuple[int, ...], parameters: Parameters, _locality: int) -> bytes:
        data = parameters.sized(MAX_EVENT)
        _hierarchy(parameters)
        parameters.end()
        return commands.sized(self._sequences.complete(handles[0], data)) + _NULL_TICKET

    def _event_sequence_complete(self, handles: tuple[int, ...], parameters: Parameters, locality: int) -> bytes:
        data = parameters.sized(MAX_EVENT)
        parameters.end()
        values = self._sequences.complete_event(handles[1], data)
        self._extend(handles[0], values, locality)
        return commands.digest_values(values)

    def _extend(self, pcr: int, values: dict[Algorithm, bytes], locality: int) -> None:
        if pcr == NULL_HANDLE:
            return
        try:
            self.pcrs.extend(pcr, values, locality)
        except LocalityError:
            raise TpmError(Rc.LOCALITY) from None
        self._count(pcr, sum(each in self.pcrs.algorithms for each in values))

    def _count(self, pcr: int, changes: int) -> None:
        self._changes += 0 if pcr in _UNCOUNTED else changes


def _hierarchy(parameters: Parameters) -> None:
    """Owner, endorsement, platform or none: whose ticket is asked for, which is none here in any case."""
    if parameters.number(4) not in (0x4000_0001, 0x4000_000B, 0x4000_000C, NULL_HANDLE):
        raise parameters.error(Rc.VALUE)
