import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from efi_services.handles import (
    BY_CHILD_CONTROLLER,
    BY_DRIVER,
    BY_HANDLE_PROTOCOL,
    EXCLUSIVE,
    GET_PROTOCOL,
    TEST_PROTOCOL,
    HandleDatabase,
)
from efi_services.status import EfiError, Status
from efi_services.types import Guid

A, B, C = (Guid(int=each) for each in (1, 2, 3))


def refused(status):
    return pytest.raises(EfiError, match=f"^EFI_{status.name}$")


@pytest.fixture
def dropped():
    return []


@pytest.fixture
def handles(dropped):
    return HandleDatabase(itertools.count(0x100, 0x10).__next__, dropped.append)


def new(handles, *protocols):
    handle = 0
    for guid in protocols or (A,):
        handle, _ = handles.install(handle, guid, 0xF00)
    return handle


def test_a_handle_lives_as_long_as_it_has_protocols(handles, dropped):
    handle = new(handles, A, B)
    assert handles.protocols(handle) == [A, B]
    handles.uninstall(handle, A, 0xF00)
    assert handle in handles
    handles.uninstall(handle, B, 0xF00)
    assert handle not in handles
    assert dropped == [handle]


def test_installing(handles):
    handle = new(handles, A)
    with refused(Status.INVALID_PARAMETER):
        handles.install(handle, A, 1)
    with refused(Status.INVALID_PARAMETER):
        handles.install(handle + 1, A, 1)
    assert handles.get(handle, A).interface == 0xF00


def test_what_is_not_there(handles):
    handle = new(handles, A)
    with refused(Status.UNSUPPORTED):
        handles.get(handle, B)
    with refused(Status.INVALID_PARAMETER):
        handles.get(1, A)
    with refused(Status.INVALID_PARAMETER):
        handles.protocols(0)
    for change in (handles.uninstall, lambda *each: handles.reinstall(*each, 1)):
        with refused(Status.NOT_FOUND):
            change(handle, B, 0xF00)
        with refused(Status.NOT_FOUND):
            change(handle, A, 0xF01)
        with refused(Status.INVALID_PARAMETER):
            change(1, A, 0xF00)


def test_oldest_installation_first(handles):
    first, second = new(handles, A), new(handles, B)
    handles.install(second, A, 1)
    handles.install(first, B, 1)
    assert handles.with_protocol(A) == [first, second]
    assert handles.with_protocol(B) == [second, first]
    assert handles.with_protocol(C) == []


@pytest.mark.parametrize(
    "attributes",
    [0, BY_HANDLE_PROTOCOL | GET_PROTOCOL, BY_CHILD_CONTROLLER | EXCLUSIVE, BY_DRIVER | GET_PROTOCOL, 0x40, 0xFFFFFFFF],
)
def test_no_other_attributes(handles, attributes):
    one, other = new(handles), new(handles)
    with refused(Status.INVALID_PARAMETER):
        handles.open(one, A, other, other, attributes)


@pytest.mark.parametrize("attributes", [BY_DRIVER, BY_CHILD_CONTROLLER, EXCLUSIVE, BY_DRIVER | EXCLUSIVE])
def test_who_must_say_who_he_is(handles, attributes):
    one, other = new(handles), new(handles)
    with refused(Status.INVALID_PARAMETER):
        handles.open(one, A, 0, other, attributes)
    with refused(Status.INVALID_PARAMETER):
        handles.open(one, A, 0x999, other, attributes)
    if attributes != EXCLUSIVE:
        with refused(Status.INVALID_PARAMETER):
            handles.open(one, A, other, 0, attributes)
    assert handles.openings(one, A) == []
    handles.open(one, A, other, other, attributes)


def test_a_child_is_another_handle(handles):
    one, agent = new(handles), new(handles)
    with refused(Status.INVALID_PARAMETER):
        handles.open(one, A, agent, one, BY_CHILD_CONTROLLER)


#: What is open by agent 1, what agent 2 asks for, and the answer: section 7.3.9.
CONFLICTS = [
    (BY_DRIVER, BY_DRIVER, Status.ACCESS_DENIED),
    (BY_DRIVER, EXCLUSIVE, Status.ACCESS_DENIED),
    (BY_DRIVER, BY_DRIVER | EXCLUSIVE, Status.ACCESS_DENIED),
    (EXCLUSIVE, BY_DRIVER, Status.ACCESS_DENIED),
    (EXCLUSIVE, EXCLUSIVE, Status.ACCESS_DENIED),
    (BY_DRIVER | EXCLUSIVE, BY_DRIVER, Status.ACCESS_DENIED),
    (BY_DRIVER | EXCLUSIVE, BY_DRIVER | EXCLUSIVE, Status.ACCESS_DENIED),
    *((each, harmless, None) for each in (BY_DRIVER, EXCLUSIVE, BY_DRIVER | EXCLUSIVE)
      for harmless in (BY_HANDLE_PROTOCOL, GET_PROTOCOL, TEST_PROTOCOL, BY_CHILD_CONTROLLER)),
    *((each, asked, None) for each in (BY_HANDLE_PROTOCOL, GET_PROTOCOL, BY_CHILD_CONTROLLER)
      for asked in (BY_DRIVER, EXCLUSIVE, BY_DRIVER | EXCLUSIVE, BY_CHILD_CONTROLLER)),
]  # fmt: skip


@pytest.mark.parametrize(("open_as", "asked", "status"), CONFLICTS)
def test_who_may_open_what_another_has_open(handles, open_as, asked, status):
    one, first, second, controller = (new(handles) for _ in range(4))
    handles.open(one, A, first, controller, open_as)
    if status is None:
        assert handles.open(one, A, second, controller, asked) == 0xF00
    else:
        with refused(status):
            handles.open(one, A, second, controller, asked)


@pytest.mark.parametrize("attributes", [BY_DRIVER, BY_DRIVER | EXCLUSIVE])
def test_a_driver_that_manages_already(handles, attributes):
    one, agent = new(handles), new(handles)
    handles.open(one, A, agent, one, attributes)
    with refused(Status.ALREADY_STARTED):
        handles.open(one, A, agent, one, attributes)


def test_the_same_opening_again_is_counted(handles):
    one, agent = new(handles), new(handles)
    for _ in range(1000):
        handles.open(one, A, agent, 0, BY_HANDLE_PROTOCOL)
    handles.open(one, A, agent, 0, GET_PROTOCOL)
    assert [(each.attributes, each.count) for each in handles.openings(one, A)] == [(1, 1000), (2, 1)]


def test_what_is_not_noted(handles):
    one, agent = new(handles), new(handles)
    handles.open(one, A, agent, 0, TEST_PROTOCOL)
    handles.open(one, A, 0, 0, GET_PROTOCOL)
    assert handles.openings(one, A) == []


def test_closing(handles):
    one, agent, controller = (new(handles) for _ in range(3))
    handles.open(one, A, agent, 0, GET_PROTOCOL)
    handles.open(one, A, agent, controller, BY_DRIVER)
    handles.close(one, A, agent, 0)
    assert [each.attributes for each in handles.openings(one, A)] == [BY_DRIVER]
    with refused(Status.NOT_FOUND):
        handles.close(one, A, agent, 0)
    with refused(Status.NOT_FOUND):
        handles.close(one, B, agent, controller)
    for wrong in ((1, A, agent, 0), (one, A, 0, 0), (one, A, 1, 0), (one, A, agent, 1)):
        with refused(Status.INVALID_PARAMETER):
            handles.close(*wrong)
    handles.close(one, A, agent, controller)
    assert handles.openings(one, A) == []
    with refused(Status.NOT_FOUND):
        handles.openings(one, B)
    with refused(Status.NOT_FOUND):
        handles.openings(1, A)


@pytest.mark.parametrize(
    ("attributes", "uninstall", "reinstall"),
    [
        (GET_PROTOCOL, None, None),
        (BY_HANDLE_PROTOCOL, None, None),
        (BY_CHILD_CONTROLLER, Status.ACCESS_DENIED, None),
        (BY_DRIVER, Status.ACCESS_DENIED, Status.ACCESS_DENIED),
        (EXCLUSIVE, Status.ACCESS_DENIED, Status.ACCESS_DENIED),
    ],
)
def test_what_is_in_use_stays(handles, attributes, uninstall, reinstall):
    one, agent, controller = (new(handles) for _ in range(3))
    handles.open(one, A, agent, controller, attributes)
    if reinstall is None:
        handles.reinstall(one, A, 0xF00, 0xF00)
    else:
        with refused(reinstall):
            handles.reinstall(one, A, 0xF00, 0xF00)
    if uninstall is None:
        handles.uninstall(one, A, 0xF00)
    else:
        with refused(uninstall):
            handles.uninstall(one, A, 0xF00)
        assert handles.protocols(one) == [A]


def test_an_image_that_is_gone_has_nothing_open_and_no_handle(handles, dropped):
    one, image = new(handles), new(handles, A, B)
    handles.open(one, A, image, one, BY_DRIVER)
    handles.open(image, A, one, one, EXCLUSIVE)
    handles.forget(image)
    assert handles.openings(one, A) == []
    assert image not in handles
    assert dropped == [image]
    handles.forget(image)
    assert dropped == [image]


def test_waiting_for_a_protocol(handles, dropped):
    old = new(handles, A)
    handles.register(A, 0xE1, 0x4E1)
    with refused(Status.NOT_FOUND):
        handles.next_registered(0x4E1)
    first, events = handles.install(0, A, 1)
    assert events == [0xE1]
    assert handles.install(first, B, 1)[1] == []
    second = new(handles, A)
    # Looking is not taking.
    assert handles.next_registered(0x4E1, take=False) == (first, A)
    assert handles.next_registered(0x4E1) == (first, A)
    assert handles.next_registered(0x4E1) == (second, A)
    with refused(Status.NOT_FOUND):
        handles.next_registered(0x4E1)
    assert handles.reinstall(old, A, 0xF00, 0xF00) == [0xE1]
    assert handles.reinstall(old, A, 0xF00, 0xF00) == [0xE1]
    assert handles.next_registered(0x4E1) == (old, A)
    with refused(Status.NOT_FOUND):
        handles.next_registered(0x4E1)
    with refused(Status.INVALID_PARAMETER):
        handles.next_registered(0xBAD)
    handles.unregister(0xE1)
    assert dropped == [0x4E1]
    with refused(Status.INVALID_PARAMETER):
        handles.next_registered(0x4E1)


def test_a_new_handle_that_has_gone_before_it_was_asked_for(handles):
    handles.register(A, 0xE1, 0x4E1)
    gone, kept, last = new(handles, A), new(handles, B, A), new(handles, A)
    handles.uninstall(gone, A, 0xF00)
    handles.uninstall(kept, A, 0xF00)
    assert handles.next_registered(0x4E1, take=False) == (last, A)
    assert handles.next_registered(0x4E1) == (last, A)


GUIDS = st.sampled_from([A, B, C])
INTERFACES = st.integers(1, 3)
ATTRIBUTES = st.sampled_from([1, 2, 4, 8, 0x10, 0x20, 0x30])


def status_of(function, *arguments):
    """The status with which it refuses, if it does."""
    try:
        function(*arguments)
    except EfiError as refusal:
        return refusal.status
    return None


class Model(RuleBasedStateMachine):
    """The database beside dictionaries: what is on each handle, and how often what is open."""

    def __init__(self):
        super().__init__()
        self.gone = []
        self.real = HandleDatabase(itertools.count(0x100, 0x10).__next__, self.gone.append)
        self.model: dict[int, dict[Guid, int]] = {}
        self.opened: dict[tuple, int] = {}

    def pick(self, number):
        return list(self.model)[number % len(self.model)] if self.model else 0xBAD

    @rule(number=st.integers(0, 9), new=st.booleans(), guid=GUIDS, interface=INTERFACES)
    def install(self, number, new, guid, interface):
        handle = 0 if new else self.pick(number)
        try:
            handle, _ = self.real.install(handle, guid, interface)
        except EfiError:
            assert handle not in self.model or guid in self.model[handle]
        else:
            assert guid not in self.model.get(handle, {})
            self.model.setdefault(handle, {})[guid] = interface

    @rule(number=st.integers(0, 9), guid=GUIDS, interface=INTERFACES)
    def uninstall(self, number, guid, interface):
        handle = self.pick(number)
        open_here = {key: each for key, each in self.opened.items() if key[:2] == (handle, guid)}
        in_use = any(key[4] & 0x38 for key in open_here)
        right = self.model.get(handle, {}).get(guid) == interface
        refusal = status_of(self.real.uninstall, handle, guid, interface)
        assert (refusal is Status.ACCESS_DENIED) == (right and in_use)
        assert (refusal is None) == (right and not in_use)
        if refusal is None:
            assert self.model[handle].pop(guid) == interface
            for key in open_here:
                del self.opened[key]
            if not self.model[handle]:
                del self.model[handle]
                assert self.gone[-1] == handle

    @precondition(lambda self: self.model)
    @rule(numbers=st.tuples(*[st.integers(0, 9)] * 3), guid=GUIDS, attributes=ATTRIBUTES)
    def open(self, numbers, guid, attributes):
        handle, agent, controller = map(self.pick, numbers)
        refusal = status_of(self.real.open, handle, guid, agent, controller, attributes)
        itself = attributes == BY_CHILD_CONTROLLER and handle == controller
        assert (refusal is Status.INVALID_PARAMETER) == itself
        if not itself:
            assert (refusal is Status.UNSUPPORTED) == (guid not in self.model[handle])
        taken = attributes & 0x30 and any(key[:2] == (handle, guid) and key[4] & 0x30 for key in self.opened)
        assert (refusal in (Status.ACCESS_DENIED, Status.ALREADY_STARTED)) == bool(taken)
        if refusal is None and attributes != TEST_PROTOCOL:
            key = handle, guid, agent, controller, attributes
            self.opened[key] = self.opened.get(key, 0) + 1

    @precondition(lambda self: self.opened)
    @rule(number=st.integers(0, 99))
    def close(self, number):
        handle, guid, agent, controller, _ = sorted(self.opened, key=str)[number % len(self.opened)]
        try:
            self.real.close(handle, guid, agent, controller)
        except EfiError:
            assert not {agent, controller} <= set(self.model)
        else:
            self.opened = {
                key: each for key, each in self.opened.items() if key[:4] != (handle, guid, agent, controller)
            }

    @invariant()
    def the_same(self):
        assert list(self.real) == list(self.model)
        for handle, protocols in self.model.items():
            assert self.real.protocols(handle) == list(protocols)
            for guid, interface in protocols.items():
                assert self.real.get(handle, guid).interface == interface
                assert {
                    (handle, guid, each.agent, each.controller, each.attributes): each.count
                    for each in self.real.openings(handle, guid)
                } == {key: count for key, count in self.opened.items() if key[:2] == (handle, guid)}


TestModel = Model.TestCase
TestModel.settings = settings(settings.get_profile("firmware"), max_examples=60, stateful_step_count=30)
