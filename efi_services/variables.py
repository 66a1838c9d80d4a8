"""EFI variables (UEFI 2.10, section 8.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from efi_services.types import Guid

NON_VOLATILE = 0x01
BOOTSERVICE_ACCESS = 0x02
RUNTIME_ACCESS = 0x04
HARDWARE_ERROR_RECORD = 0x08
AUTHENTICATED_WRITE_ACCESS = 0x10
TIME_BASED_AUTHENTICATED_WRITE_ACCESS = 0x20
APPEND_WRITE = 0x40
ENHANCED_AUTHENTICATED_ACCESS = 0x80
ALL_ATTRIBUTES = 0xFF

#: Section 3.3: computed by the firmware, never written.
READ_ONLY = frozenset(
    {
        "SecureBoot", "SetupMode", "AuditMode", "DeployedMode", "SignatureSupport", "VendorKeys",
        "OsIndicationsSupported",
        "PKDefault", "KEKDefault", "dbDefault", "dbxDefault", "dbtDefault", "dbrDefault", "BootCurrent",
    }
)  # fmt: skip
#: The variables that hold Secure Boot's keys: written with a signature only.
AUTHENTICATED = {
    guids.GLOBAL_VARIABLE: frozenset({"PK", "KEK"}),
    guids.IMAGE_SECURITY_DATABASE: frozenset({"db", "dbx", "dbt", "dbr"}),
}

MAX_VARIABLE_SIZE = 64 * 1024
MAX_STORAGE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: its name, vendor, attributes and value."""

    name: str
    vendor: Guid
    attributes: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes of storage it takes: name and data."""
        return len(self.name.encode("utf-16-le")) + 2 + len(self.data)


class VariableStore:
    """Variables in the order of their creation. *runtime* calls see those with RUNTIME_ACCESS only."""

    def __init__(self, variables: Iterable[Variable] = ()) -> None:
        self._variables = {(each.name, each.vendor): each for each in variables}

    def get(self, name: str, vendor: Guid, *, runtime: bool = False) -> Variable:
        """The variable; raises NOT_FOUND."""
        found = self._variables.get((name, vendor))
        if found is None or (runtime and not found.attributes & RUNTIME_ACCESS):
            raise EfiError(Status.NOT_FOUND)
        return found

    def following(self, name: str, vendor: Guid, *, runtime: bool = False) -> Variable:
        """The variable after this one, the first for an empty name; raises NOT_FOUND, or INVALID_PARAMETER."""
        visible = [each for each in self._variables.values() if not runtime or each.attributes & RUNTIME_ACCESS]
        if not name:
            index = 0
        else:
            keys = [(each.name, each.vendor) for each in visible]
            if (name, vendor) not in keys:
                raise EfiError(Status.INVALID_PARAMETER)
            index = keys.index((name, vendor)) + 1
        if index >= len(visible):
            raise EfiError(Status.NOT_FOUND)
        return visible[index]

    def set(self, name: str, vendor: Guid, attributes: int, data: bytes, *, runtime: bool = False) -> None:
        """Write, append to or delete a variable.

        Raises:
            EfiError: INVALID_PARAMETER, WRITE_PROTECTED, SECURITY_VIOLATION (a signature would be needed, and we
                check none), NOT_FOUND, OUT_OF_RESOURCES, UNSUPPORTED (attributes that we don't implement).
        """
        kept = attributes & ~APPEND_WRITE
        old = self._variables.get((name, vendor))
        if not name or (attributes & RUNTIME_ACCESS and not attributes & BOOTSERVICE_ACCESS):
            raise EfiError(Status.INVALID_PARAMETER)
        if attributes & ~ALL_ATTRIBUTES:
            raise EfiError(Status.INVALID_PARAMETER)
        if attributes & (AUTHENTICATED_WRITE_ACCESS | HARDWARE_ERROR_RECORD | ENHANCED_AUTHENTICATED_ACCESS):
            raise EfiError(Status.UNSUPPORTED)
        if runtime and kept and kept & (RUNTIME_ACCESS | NON_VOLATILE) != RUNTIME_ACCESS | NON_VOLATILE:
            raise EfiError(Status.INVALID_PARAMETER)
        if vendor == guids.GLOBAL_VARIABLE and name in READ_ONLY:
            raise EfiError(Status.WRITE_PROTECTED)
        if name in AUTHENTICATED.get(vendor, ()) and not attributes & TIME_BASED_AUTHENTICATED_WRITE_ACCESS:
            raise EfiError(Status.INVALID_PARAMETER)
        if attributes & TIME_BASED_AUTHENTICATED_WRITE_ACCESS:
            raise EfiError(Status.SECURITY_VIOLATION)
        if runtime and old is not None and not old.attributes & RUNTIME_ACCESS:
            raise EfiError(Status.INVALID_PARAMETER)
        if runtime and old is not None and not old.attributes & NON_VOLATILE:
            raise EfiError(Status.WRITE_PROTECTED)
        if (not data and not attributes & APPEND_WRITE) or not kept & (BOOTSERVICE_ACCESS | RUNTIME_ACCESS):
            if old is None:
                raise EfiError(Status.NOT_FOUND)
            if old.attributes & TIME_BASED_AUTHENTICATED_WRITE_ACCESS:
                raise EfiError(Status.SECURITY_VIOLATION)
            del self._variables[name, vendor]
            return
        if old is not None and kept != old.attributes:
            raise EfiError(Status.INVALID_PARAMETER)
        if attributes & APPEND_WRITE:
            if not data:
                return
            data = (old.data if old else b"") + data
        new = Variable(name, vendor, kept, data)
        if new.size > MAX_VARIABLE_SIZE:
            raise EfiError(Status.INVALID_PARAMETER)
        if new.size - (old.size if old else 0) > self.room():
            raise EfiError(Status.OUT_OF_RESOURCES)
        self._variables[name, vendor] = new

    def room(self) -> int:
        """Bytes of storage left."""
        return MAX_STORAGE - sum(each.size for each in self._variables.values())

    def __iter__(self) -> Iterator[Variable]:
        return iter(self._variables.values())


def secure_boot_set(*, enabled: bool, setup_mode: bool) -> tuple[Variable, ...]:
    """The variables from which a loader learns the state of Secure Boot (section 3.3)."""
    volatile = BOOTSERVICE_ACCESS | RUNTIME_ACCESS
    state = {
        "SecureBoot": enabled,
        "SetupMode": setup_mode,
        "AuditMode": False,
        "DeployedMode": False,
        "VendorKeys": False,
    }
    return tuple(Variable(name, guids.GLOBAL_VARIABLE, volatile, bytes([value])) for name, value in state.items())
