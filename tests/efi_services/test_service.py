import pytest

from efi_services.service import PROTOCOLS, Member, Service, method, protocol, service, unsupported
from efi_services.status import Status
from efi_services.types import UINT32, UINTN, Buffer, CStr16, DevicePathBytes, Guid, In, InOut, Out, Pairs, Pointer


@service("Everything", "1.2.3")
def everything(
    fw: object,
    value: UINT32,
    pointer: Pointer,
    guid: In[Guid],
    other: In[Guid] | None,
    answer: Out[UINTN] | None,
    both: InOut[UINTN],
    buffer: Buffer | None,
    text: CStr16,
    path: DevicePathBytes | None,
    pairs: Pairs,
) -> Status:
    """Have a bit of everything."""


def test_a_signature_says_all():
    declared = everything.service
    assert (declared.name, declared.spec, declared.doc) == ("Everything", "1.2.3", "Have a bit of everything.")
    assert [(each.name, each.role, each.optional) for each in declared.parameters] == [
        ("value", "value", False), ("pointer", "value", False), ("guid", "in", False), ("other", "in", True),
        ("answer", "out", True), ("both", "inout", False), ("buffer", "buffer", True), ("text", "text", False),
        ("path", "path", True), ("pairs", "pairs", False),
    ]  # fmt: skip


def test_results():
    @service("Value", "1.1")
    def value(fw: object) -> int:
        """Give a number."""

    @service("Nothing", "1.1")
    def nothing(fw: object) -> None:
        """Give nothing."""

    assert (everything.service.returns, value.service.returns, nothing.service.returns) == (
        "status", "value", "nothing",
    )  # fmt: skip


def test_an_argument_outside_the_vocabulary_is_refused_at_declaration():
    with pytest.raises(TypeError, match="vocabulary"):

        @service("Wrong", "1.1")
        def wrong(fw: object, number: int) -> Status:
            """Fail to be declared."""


def test_a_slot_that_only_says_that_it_does_nothing():
    assert not unsupported("Nothing", "1.1").implemented
    assert everything.service.implemented


def test_a_protocol_keeps_the_order_of_its_slots():
    @protocol("00000000-0000-0000-0000-000000000001", name="TEST_PROTOCOL", spec="9.9")
    class Test:
        """A protocol."""

        @method("First", "9.9.1")
        def first(self) -> Status:
            """Be first."""

        second = Member("Second", UINTN, value="number")
        third = unsupported("Third", "9.9.3")

    try:
        made = PROTOCOLS["TEST_PROTOCOL"]
        assert [each.name for each in made.slots] == ["First", "Second", "Third"]
        assert made is Test.protocol
        methods = [each for each in made.slots if isinstance(each, Service)]
        assert {(each.protocol, each.guid) for each in methods} == {("TEST_PROTOCOL", Guid(int=1))}
    finally:
        del PROTOCOLS["TEST_PROTOCOL"]
