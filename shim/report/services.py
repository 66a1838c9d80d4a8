"""What the firmware implements, read off its declarations: for the command and for the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import efi_services.firmware  # noqa: F401 - importing the firmware declares its protocols
from efi_services.service import PROTOCOLS, Service
from efi_services.tables import BOOT_SERVICES, RUNTIME_SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Row:
    """One service: where callers find it, its name, its section of UEFI 2.10, and its signature."""

    where: str
    name: str
    spec: str
    implemented: bool
    arguments: str
    doc: str


def rows() -> Iterator[Row]:
    """Every slot of every table and protocol, in the specification's order."""
    for where, slots in (("boot", BOOT_SERVICES), ("runtime", RUNTIME_SERVICES)):
        for each in slots:
            if each is not None:
                yield _row(where, each)
    for protocol in sorted(PROTOCOLS.values(), key=lambda each: each.name):
        for slot in protocol.slots:
            if isinstance(slot, Service):
                yield _row(protocol.name, slot)


def _row(where: str, service: Service) -> Row:
    arguments = ", ".join(f"{each.name}: {each.spelling}" for each in service.parameters)
    first_line = service.doc.partition("\n")[0]
    return Row(where, service.name, service.spec, service.implemented, arguments, first_line)
