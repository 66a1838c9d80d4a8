"""EFI variables (UEFI 2.10, section 8.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.secure_boot import keys, signature_list
from efi_services.secure_boot.authentication import Authentication
from efi_services.secure_boot.modes import Mode
from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from efi_services.secure_boot.authentication import Moment
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
        "SecureBoot", "SetupMode", "SignatureSupport", "VendorKeys",
        "OsIndicationsSupported",
        "PKDefault", "KEKDefault", "dbDefault", "dbxDefault", "dbtDefault", "dbrDefault", "BootCurrent",
    }
)  # fmt: skip
#: What those of Secure Boot's keys have to have.
KEY_ATTRIBUTES = NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS | TIME_BASED_AUTHENTICATED_WRITE_ACCESS

MAX_VARIABLE_SIZE = 64 * 1024
MAX_STORAGE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: its name, vendor, attributes and value.

    An authenticated one has the *moment* of its last signature, and perhaps an *owner*, who alone may write it.
    """

    name: str
    vendor: Guid
    attributes: int
    data: bytes
    moment: Moment = (0, 0, 0, 0, 0, 0)
    owner: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of storage it takes: name and data."""
        return len(self.name.encode("utf-16-le")) + 2 + len(self.data)


class VariableStore:
    """Variables in the order of their creation. *runtime* calls see those with RUNTIME_ACCESS only.

    *mode* is Secure Boot's, and *enforcing* whether images are verified once there is a platform key.
    """

    def __init__(self, variables: Iterable[Variable] = (), mode: Mode = Mode.SETUP, *, enforcing: bool = False) -> None:
        self.mode = mode
        self._enforcing = enforcing
        self._variables = {(each.name, each.vendor): each for each in variables}

    @property
    def secure_boot(self) -> bool:
        """Whether images are verified: what the variable SecureBoot tells."""
        return self._enforcing and self.mode.has_platform_key

    def value(self, variable: tuple[str, Guid]) -> bytes:
        """What a variable holds; nothing where there is none."""
        found = self._variables.get(variable)
        return found.data if found else b""

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
            EfiError: INVALID_PARAMETER, WRITE_PROTECTED, SECURITY_VIOLATION (a signature is missing or wrong),
                NOT_FOUND, OUT_OF_RESOURCES, UNSUPPORTED (attributes that we don't implement).
        """
        variable = name, vendor
        kept = attributes & ~APPEND_WRITE
        old = self._variables.get(variable)
        if not name or (attributes & RUNTIME_ACCESS and not attributes & BOOTSERVICE_ACCESS):
            raise EfiError(Status.INVALID_PARAMETER)
        if attributes & ~ALL_ATTRIBUTES:
            raise EfiError(Status.INVALID_PARAMETER)
        if attributes & (AUTHENTICATED_WRITE_ACCESS | HARDWARE_ERROR_RECORD | ENHANCED_AUTHENTICATED_ACCESS):
            raise EfiError(Status.UNSUPPORTED)
        if vendor == guids.GLOBAL_VARIABLE and name in READ_ONLY:
            raise EfiError(Status.WRITE_PROTECTED)
        if vendor == guids.GLOBAL_VARIABLE and name in self.mode.state:
            self._set_mode(name, attributes, data, runtime=runtime)
            return
        if runtime and kept and kept & (RUNTIME_ACCESS | NON_VOLATILE) != RUNTIME_ACCESS | NON_VOLATILE:
            raise EfiError(Status.INVALID_PARAMETER)
        if variable in keys.ALL and kept != KEY_ATTRIBUTES:
            raise EfiError(Status.INVALID_PARAMETER)
        if runtime and old is not None and not old.attributes & RUNTIME_ACCESS:
            raise EfiError(Status.INVALID_PARAMETER)
        if runtime and old is not None and not old.attributes & NON_VOLATILE:
            raise EfiError(Status.WRITE_PROTECTED)
        accessible = bool(kept & (BOOTSERVICE_ACCESS | RUNTIME_ACCESS))
        if old is not None and accessible and kept != old.attributes:
            raise EfiError(Status.INVALID_PARAMETER)
        new = Variable(name, vendor, kept, data)
        if attributes & TIME_BASED_AUTHENTICATED_WRITE_ACCESS:
            new = self._authenticated(new, attributes, old)
        elif old is not None and old.attributes & TIME_BASED_AUTHENTICATED_WRITE_ACCESS:
            raise EfiError(Status.SECURITY_VIOLATION)
        if (not new.data and not attributes & APPEND_WRITE) or not accessible:
            if old is None:
                raise EfiError(Status.NOT_FOUND)
            del self._variables[variable]
        elif new.data:
            if attributes & APPEND_WRITE and old is not None:
                new = _appended(old, new)
            self._check_room(new, old)
            self._variables[variable] = new
        if variable == keys.PK:
            self._change_mode(self.mode.with_platform_key() if keys.PK in self._variables else Mode.SETUP)

    def _authenticated(self, new: Variable, attributes: int, old: Variable | None) -> Variable:
        """The variable without its descriptor, once it is known that its signer may write it."""
        given = Authentication.decode(new.data)
        if old is not None and not attributes & APPEND_WRITE and given.moment <= old.moment:
            raise EfiError(Status.SECURITY_VIOLATION)
        variable, owner = (new.name, new.vendor), b""
        if variable in keys.ALL:
            keys.authorise(variable, attributes, given, self.mode, self.value)
        else:
            owner = keys.authorise_private(variable, attributes, given, old.owner if old else None)
        return replace(new, data=given.value, moment=given.moment, owner=owner)

    def _check_room(self, new: Variable, old: Variable | None) -> None:
        if new.size > MAX_VARIABLE_SIZE:
            raise EfiError(Status.INVALID_PARAMETER)
        if (new.name, new.vendor) == keys.PK:
            keys.check_format(keys.PK, new.data)
        if new.size - (old.size if old else 0) > self.room():
            raise EfiError(Status.OUT_OF_RESOURCES)

    def _set_mode(self, name: str, attributes: int, data: bytes, *, runtime: bool) -> None:
        """AuditMode and DeployedMode lead to the modes of their names, and not back."""
        if runtime or name not in self.mode.writable:
            raise EfiError(Status.WRITE_PROTECTED)
        if attributes != BOOTSERVICE_ACCESS | RUNTIME_ACCESS or data not in (b"\0", b"\1"):
            raise EfiError(Status.INVALID_PARAMETER)
        if data == b"\0":
            return
        if name == "AuditMode":
            self._variables.pop(keys.PK, None)
        self._change_mode(Mode.AUDIT if name == "AuditMode" else Mode.DEPLOYED)

    def _change_mode(self, mode: Mode) -> None:
        self.mode = mode
        for each in mode_variables(mode, secure_boot=self.secure_boot):
            self._variables[each.name, each.vendor] = each

    def put(self, variable: Variable) -> None:
        """Write one of the firmware's own, which asks nobody."""
        self._variables[variable.name, variable.vendor] = variable

    def drop(self, variable: tuple[str, Guid]) -> None:
        """Remove one of the firmware's own, if it is there."""
        self._variables.pop(variable, None)

    def room(self) -> int:
        """Bytes of storage left."""
        return MAX_STORAGE - sum(each.size for each in self._variables.values())

    def __iter__(self) -> Iterator[Variable]:
        return iter(self._variables.values())


def _appended(old: Variable, new: Variable) -> Variable:
    data = old.data + new.data
    if (new.name, new.vendor) in keys.ALL:
        data = signature_list.appended(old.data, new.data)
    return replace(new, data=data, moment=max(old.moment, new.moment))


def mode_variables(mode: Mode, *, secure_boot: bool) -> tuple[Variable, ...]:
    """The variables from which a loader learns the state of Secure Boot (section 3.3)."""
    volatile = BOOTSERVICE_ACCESS | RUNTIME_ACCESS
    state = {"SecureBoot": secure_boot, **mode.state}
    return tuple(Variable(name, guids.GLOBAL_VARIABLE, volatile, bytes([value])) for name, value in state.items())


def secure_boot_set(
    mode: Mode = Mode.SETUP, *, secure_boot: bool = False, vendor_keys: bool = False
) -> tuple[Variable, ...]:
    """All variables that tell of Secure Boot at power-on, but for the keys."""
    volatile = BOOTSERVICE_ACCESS | RUNTIME_ACCESS
    support = b"".join(each.bytes_le for each in signature_list.SUPPORTED)
    return (
        *mode_variables(mode, secure_boot=secure_boot),
        Variable("VendorKeys", guids.GLOBAL_VARIABLE, volatile, bytes([vendor_keys])),
        Variable("SignatureSupport", guids.GLOBAL_VARIABLE, volatile, support),
    )
