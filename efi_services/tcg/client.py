"""What firmware wants of a TPM, as commands to whatever answers them: the model, or a TPM behind a transport."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services.tcg import commands
from efi_services.tcg.commands import Code, Parameters, Rc, TpmError

if TYPE_CHECKING:
    from efi_services.ports import TpmTransport
    from efi_services.tcg.algorithms import Algorithm


class TpmClient:
    """The firmware's side of a TPM; every method raises TpmError with what the TPM refuses."""

    def __init__(self, transport: TpmTransport) -> None:
        self.transport = transport

    def startup(self) -> None:
        """TPM2_Startup(CLEAR); a TPM that somebody has started already is taken as it is."""
        try:
            self._send(Code.STARTUP, b"\0\0")
        except TpmError as refusal:
            if refusal.code != Rc.INITIALIZE:
                raise

    def banks(self) -> tuple[tuple[Algorithm, ...], tuple[Algorithm, ...]]:
        """The active PCR banks, and all that there could be."""
        answer = self._capability(commands.CAP_PCRS, 0, 16)
        found = answer.selections()
        return tuple(each for each, bits in found if bits), tuple(each for each, _ in found)

    def manufacturer(self) -> int:
        """TPM_PT_MANUFACTURER."""
        answer = self._capability(commands.CAP_PROPERTIES, commands.PT_MANUFACTURER, 1)
        if answer.number(4) != 1 or answer.number(4) != commands.PT_MANUFACTURER:
            raise TpmError(Rc.FAILURE)
        return answer.number(4)

    def extend(self, pcr: int, digests: dict[Algorithm, bytes], locality: int = 0) -> None:
        """TPM2_PCR_Extend."""
        self._send(Code.PCR_EXTEND, commands.digest_values(digests), (pcr,), passwords=1, locality=locality)

    def read(self, algorithm: Algorithm, pcrs: range) -> dict[int, bytes]:
        """TPM2_PCR_Read, as often as it takes."""
        values: dict[int, bytes] = {}
        for first in range(pcrs.start, pcrs.stop, commands.MAX_DIGESTS):
            some = range(first, min(first + commands.MAX_DIGESTS, pcrs.stop))
            wanted = sum(1 << each for each in some)
            answer = Parameters(self._send(Code.PCR_READ, commands.pcr_selections([(algorithm, wanted)])))
            answer.number(4)
            if answer.selections() != [(algorithm, wanted)] or answer.number(4) != len(some):
                raise TpmError(Rc.FAILURE)
            values |= {each: answer.sized(algorithm.size) for each in some}
        return values

    def _capability(self, capability: int, first: int, count: int) -> Parameters:
        answer = Parameters(self._send(Code.GET_CAPABILITY, struct.pack(">III", capability, first, count)))
        answer.number(1)
        if answer.number(4) != capability:
            raise TpmError(Rc.FAILURE)
        return answer

    def _send(
        self,
        code: Code,
        parameters: bytes = b"",
        handles: tuple[int, ...] = (),
        *,
        passwords: int = 0,
        locality: int = 0,
    ) -> bytes:
        try:
            response, rest = commands.answer(
                self.transport.transmit(commands.command(code, parameters, handles, passwords=passwords), locality)
            )
        except ValueError:
            raise TpmError(Rc.FAILURE) from None
        if response != Rc.SUCCESS:
            raise TpmError(response)
        return rest
