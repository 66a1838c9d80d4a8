"""A service's arguments, as one calling convention passes them: what can be known before the first call is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.abi import Convention, Entry
    from efi_services.ports import Memory
    from efi_services.service import Service
    from efi_services.types import Json

#: Pairs that a service takes which reads them up to a NULL.
MOST_PAIRS = 64


class Decoder:
    """Reads the arguments of calls to one service."""

    def __init__(self, service: Service, convention: Convention, memory: Memory) -> None:
        abi = convention.abi
        this = [abi.pointer_bytes] if service.has_this else []
        self._convention = convention
        self._widths = this + [each.width(abi) for each in service.parameters]
        #: Where no argument takes more than a slot, arguments are slots.
        self._plain = all(each <= abi.pointer_bytes for each in self._widths)
        self._pairs = bool(service.parameters) and service.parameters[-1].role == "pairs"
        #: Of each parameter its name, what makes of the raw argument what the service gets, and what the record holds.
        self.parameters: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], Json]], ...] = tuple(
            (each.name, each.decoder(abi, memory), each.shown) for each in service.parameters
        )

    def values(self, entry: Entry) -> list[int]:
        """The arguments of the call at *entry*, `This` included for a method."""
        if self._plain:
            return self._convention.arguments(entry, 0, len(self._widths))
        return self._convention.values(entry, self._widths)

    def raw(self, entry: Entry) -> list[Any]:
        """The same, with the pairs read that are the last argument; raises INVALID_PARAMETER for pairs without end."""
        if not self._pairs:
            return self.values(entry)
        # The pairs are pointers, as is all that comes before them.
        arguments = self._convention.arguments
        fixed: list[Any] = list(arguments(entry, 0, len(self._widths) - 1))
        pairs: list[tuple[int, int]] = []
        while len(pairs) < MOST_PAIRS:
            at = len(fixed) + 2 * len(pairs)
            (guid,) = arguments(entry, at, 1)
            if guid == 0:
                return [*fixed, pairs]
            (interface,) = arguments(entry, at + 1, 1)
            pairs.append((guid, interface))
        raise EfiError(Status.INVALID_PARAMETER)
