"""The handle database: which handle has which protocol, and who has it open (UEFI 2.10, section 7.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from efi_services.device_path import length_of_match
from efi_services.guids import DEVICE_PATH
from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from efi_services.types import Guid

#: Guest memory that a handle, an event or an open file takes: what it costs a real firmware, and at least what it
#: costs the host.
HANDLE_BYTES = 512
BY_HANDLE_PROTOCOL = 0x01
GET_PROTOCOL = 0x02
TEST_PROTOCOL = 0x04
BY_CHILD_CONTROLLER = 0x08
BY_DRIVER = 0x10
EXCLUSIVE = 0x20


@dataclass(slots=True)
class Opening:
    """One line of OpenProtocolInformation: who opened a protocol, how, and how often."""

    agent: int
    controller: int
    attributes: int
    count: int = 1


@dataclass(slots=True)
class Installed:
    """A protocol on a handle; *order* is the moment of its installation."""

    interface: int
    order: int
    openings: list[Opening] = field(default_factory=list)


@dataclass(slots=True)
class Registration:
    """RegisterProtocolNotify: handles that got the protocol and were not yet reported."""

    guid: Guid
    event: int
    pending: list[int] = field(default_factory=list)


class HandleDatabase:
    """Handles in the order of their creation, and the protocols on each."""

    def __init__(self, new_handle: Callable[[], int], drop_handle: Callable[[int], None]) -> None:
        self._new_handle = new_handle
        self._drop_handle = drop_handle
        self._handles: dict[int, dict[Guid, Installed]] = {}
        self._registrations: dict[int, Registration] = {}
        self._order = 0

    def __contains__(self, handle: int) -> bool:
        return handle in self._handles

    def __iter__(self) -> Iterator[int]:
        return iter(self._handles)

    def install(self, handle: int, guid: Guid, interface: int) -> tuple[int, list[int]]:
        """Put a protocol on *handle* (0: a new one); gives the handle and the events to signal.

        Raises:
            EfiError: INVALID_PARAMETER for an unknown handle or a protocol that is there already.
        """
        if handle and (handle not in self._handles or guid in self._handles[handle]):
            raise EfiError(Status.INVALID_PARAMETER)
        if not handle:
            handle = self._new_handle()
            self._handles[handle] = {}
        self._order += 1
        self._handles[handle][guid] = Installed(interface, self._order)
        return handle, self._announce(handle, guid)

    def reinstall(self, handle: int, guid: Guid, old: int, new: int) -> list[int]:
        """Exchange an interface; gives the events to signal. Raises NOT_FOUND, or ACCESS_DENIED while it is open."""
        installed = self._exactly(handle, guid, old)
        if any(each.attributes & (BY_DRIVER | EXCLUSIVE) for each in installed.openings):
            raise EfiError(Status.ACCESS_DENIED)
        installed.interface = new
        return self._announce(handle, guid)

    def check(self, handle: int, guid: Guid, interface: int) -> None:
        """Raise INVALID_PARAMETER for no handle, NOT_FOUND where the protocol with this interface isn't on it."""
        self._exactly(handle, guid, interface)

    def uninstall(self, handle: int, guid: Guid, interface: int) -> None:
        """Take a protocol off; the handle goes with its last one. Raises NOT_FOUND, or ACCESS_DENIED while in use."""
        self.check_uninstall(handle, guid, interface)
        del self._handles[handle][guid]
        if not self._handles[handle]:
            self._drop(handle)

    def check_uninstall(self, handle: int, guid: Guid, interface: int) -> None:
        """Raise what `uninstall` would."""
        installed = self._exactly(handle, guid, interface)
        in_use = BY_DRIVER | EXCLUSIVE | BY_CHILD_CONTROLLER
        if any(each.attributes & in_use for each in installed.openings):
            raise EfiError(Status.ACCESS_DENIED)

    def forget(self, image: int) -> None:
        """An image is gone: so are its handle, whoever uses that, and all that the image had open."""
        for protocols in self._handles.values():
            for installed in protocols.values():
                installed.openings = [each for each in installed.openings if each.agent != image]
        if image in self._handles:
            self._drop(image)

    def protocols(self, handle: int) -> list[Guid]:
        """The protocols on *handle*; raises INVALID_PARAMETER for no handle."""
        return list(self._known(handle))

    def get(self, handle: int, guid: Guid) -> Installed:
        """The protocol on the handle; raises INVALID_PARAMETER for no handle, UNSUPPORTED where it lacks it."""
        try:
            return self._known(handle)[guid]
        except KeyError:
            raise EfiError(Status.UNSUPPORTED) from None

    def with_protocol(self, guid: Guid) -> list[int]:
        """All handles that have the protocol, oldest installation first."""
        found = [(protocols[guid].order, handle) for handle, protocols in self._handles.items() if guid in protocols]
        return [handle for _, handle in sorted(found)]

    def open(self, handle: int, guid: Guid, agent: int, controller: int, attributes: int) -> int:
        """Open a protocol and give its interface (section 7.3.9).

        Raises:
            EfiError: INVALID_PARAMETER, UNSUPPORTED, ALREADY_STARTED, ACCESS_DENIED.
        """
        needs_agent = attributes in (BY_DRIVER, BY_CHILD_CONTROLLER, EXCLUSIVE, BY_DRIVER | EXCLUSIVE)
        if not needs_agent and attributes not in (BY_HANDLE_PROTOCOL, GET_PROTOCOL, TEST_PROTOCOL):
            raise EfiError(Status.INVALID_PARAMETER)
        self._known(handle)
        if needs_agent and agent not in self._handles:
            raise EfiError(Status.INVALID_PARAMETER)
        needs_controller = attributes & (BY_DRIVER | BY_CHILD_CONTROLLER)
        if needs_controller and controller not in self._handles:
            raise EfiError(Status.INVALID_PARAMETER)
        if attributes == BY_CHILD_CONTROLLER and controller == handle:
            raise EfiError(Status.INVALID_PARAMETER)
        installed = self.get(handle, guid)
        if attributes & (BY_DRIVER | EXCLUSIVE):
            for each in installed.openings:
                if each.attributes & BY_DRIVER and attributes & BY_DRIVER and each.agent == agent:
                    same = each.attributes == attributes and each.controller == controller
                    raise EfiError(Status.ALREADY_STARTED if same else Status.ACCESS_DENIED)
                # A driver may make way when it is asked to; that is not for the database to do.
                if each.attributes & (BY_DRIVER | EXCLUSIVE):
                    raise EfiError(Status.ACCESS_DENIED)
        # Who doesn't say who he is can't close either.
        if agent and attributes != TEST_PROTOCOL:
            self._note(installed, agent, controller, attributes)
        return installed.interface

    def close(self, handle: int, guid: Guid, agent: int, controller: int) -> None:
        """Forget the openings by *agent*; raises INVALID_PARAMETER or NOT_FOUND."""
        protocols = self._known(handle)
        if agent not in self._handles or (controller and controller not in self._handles):
            raise EfiError(Status.INVALID_PARAMETER)
        if guid not in protocols:
            raise EfiError(Status.NOT_FOUND)
        installed = protocols[guid]
        kept = [each for each in installed.openings if (each.agent, each.controller) != (agent, controller)]
        if len(kept) == len(installed.openings):
            raise EfiError(Status.NOT_FOUND)
        installed.openings = kept

    def openings(self, handle: int, guid: Guid) -> list[Opening]:
        """Who has the protocol open; raises NOT_FOUND."""
        if handle not in self._handles or guid not in self._handles[handle]:
            raise EfiError(Status.NOT_FOUND)
        return self._handles[handle][guid].openings

    def managers(self, controller: int) -> list[int]:
        """The drivers that have a protocol of a controller open for managing it, in the order of their openings."""
        found = (each.agent for each in self._openings_of(controller) if each.attributes & BY_DRIVER)
        return list(dict.fromkeys(found))

    def children(self, controller: int, agent: int | None = None) -> list[int]:
        """The handles for which drivers, or only *agent*, opened a protocol of their parent."""
        found = (
            each.controller
            for each in self._openings_of(controller)
            if each.attributes & BY_CHILD_CONTROLLER and agent in (None, each.agent)
        )
        return list(dict.fromkeys(found))

    def _openings_of(self, handle: int) -> Iterator[Opening]:
        for installed in self._handles.get(handle, {}).values():
            yield from installed.openings

    def register(self, guid: Guid, event: int, key: int) -> None:
        """Let *event* be signalled whenever the protocol is installed; *key* is the registration's value."""
        self._registrations[key] = Registration(guid, event)

    def unregister(self, event: int) -> None:
        """The event is closed: forget its registrations."""
        for key in [key for key, each in self._registrations.items() if each.event == event]:
            del self._registrations[key]
            self._drop_handle(key)

    def next_registered(self, key: int, *, take: bool = True) -> tuple[int, Guid]:
        """A handle that is new for the registration *key*; raises INVALID_PARAMETER or NOT_FOUND.

        Where the caller's buffer is too small for it, it is not taken and stays new.
        """
        if key not in self._registrations:
            raise EfiError(Status.INVALID_PARAMETER)
        registration = self._registrations[key]
        while registration.pending:
            handle = registration.pending[0]
            here = registration.guid in self._handles.get(handle, {})
            if take or not here:
                del registration.pending[0]
            if here:
                return handle, registration.guid
        raise EfiError(Status.NOT_FOUND)

    def nearest(self, guid: Guid, path: bytes, path_of: Callable[[int], bytes]) -> tuple[int, int]:
        """The handle with *guid* whose device path is the longest start of *path*, and that length in bytes.

        *path_of* reads the device path at an interface address. Raises NOT_FOUND.
        """
        best: tuple[int, int] | None = None
        for handle in self.with_protocol(guid):
            installed = self._handles[handle].get(DEVICE_PATH)
            # A handle may have a device path that is none, as NULL.
            if installed is None or not installed.interface:
                continue
            try:
                theirs = path_of(installed.interface)
            except EfiError:
                continue
            length = length_of_match(theirs, path)
            if length is not None and (best is None or length > best[1]):
                best = handle, length
        if best is None:
            raise EfiError(Status.NOT_FOUND)
        return best

    def _known(self, handle: int) -> dict[Guid, Installed]:
        try:
            return self._handles[handle]
        except KeyError:
            raise EfiError(Status.INVALID_PARAMETER) from None

    def _drop(self, handle: int) -> None:
        del self._handles[handle]
        self._drop_handle(handle)
        for registration in self._registrations.values():
            registration.pending = [each for each in registration.pending if each != handle]

    def _exactly(self, handle: int, guid: Guid, interface: int) -> Installed:
        installed = self._known(handle).get(guid)
        if installed is None or installed.interface != interface:
            raise EfiError(Status.NOT_FOUND)
        return installed

    def _note(self, installed: Installed, agent: int, controller: int, attributes: int) -> None:
        for each in installed.openings:
            if (each.agent, each.controller, each.attributes) == (agent, controller, attributes):
                each.count += 1
                return
        installed.openings.append(Opening(agent, controller, attributes))

    def _announce(self, handle: int, guid: Guid) -> list[int]:
        told = [each for each in self._registrations.values() if each.guid == guid]
        for registration in told:
            # Installed again before it was asked for: still one handle that is new.
            registration.pending = [*(each for each in registration.pending if each != handle), handle]
        return [registration.event for registration in told]
