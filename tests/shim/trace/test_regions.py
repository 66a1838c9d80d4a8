"""Who owns which bytes, beside a list with one entry for each byte."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shim.trace.regions import RegionLog

SPACE = 64


class Log(RegionLog):
    """A log that keeps the dead; `all` are all regions that ever were, by id."""

    def __init__(self):
        self.dead = []
        super().__init__(self.bury_here)

    def bury_here(self, region):
        assert region.died_call is not None
        self.dead.append(region)

    @property
    def all(self):
        return sorted((*self, *self.dead), key=lambda each: each.id)


def test_a_region_lives_from_birth_to_death():
    log = Log()
    log.born(0x1000, 0x2000, "pages", "stub", "LoaderData", "", 3)
    (region,) = log.all
    assert (region.id, region.start, region.end, region.born_call, region.died_call) == (1, 0x1000, 0x2000, 3, None)
    assert (region.kind, region.owner, region.type) == ("pages", "stub", "LoaderData")
    assert log.at(0xFFF) is None
    assert log.at(0x1000) is region
    assert log.at(0x1FFF) is region
    assert log.at(0x2000) is None
    log.died(0x1000, 0x2000, 9)
    assert region.died_call == 9
    assert (log.at(0x1000).id, log.at(0x1FFF).kind) == (0, "freed")
    assert log.all == [region]


def test_what_is_left_of_a_region_is_a_region_of_its_own():
    log = Log()
    log.born(0, 30, "pool", "stub", "LoaderData", "", 1)
    log.all[0].bytes_written = 30
    log.died(10, 20, 2)
    whole, low, high = log.all
    assert [(each.id, each.start, each.end) for each in log.all] == [(1, 0, 30), (2, 0, 10), (3, 20, 30)]
    assert (whole.born_call, whole.died_call) == (1, 2)
    for rest in (low, high):
        assert (rest.kind, rest.owner, rest.type, rest.born_call, rest.died_call) == (
            "pool",
            "stub",
            "LoaderData",
            2,
            None,
        )
        # What was counted while it was one region stays with that.
        assert (rest.bytes_read, rest.bytes_written) == (0, 0)
    assert [log.at(i).id for i in (9, 10, 19, 20)] == [low.id, 0, 0, high.id]


def test_a_death_ends_all_that_it_reaches():
    log = Log()
    for i in range(5):
        log.born(i * 10, i * 10 + 10, "pages", "", "", str(i), i)
    log.died(5, 35, 7)
    assert [each.died_call for each in log.all[:5]] == [7, 7, 7, 7, None]
    assert [(each.start, each.end) for each in log.all[5:]] == [(0, 5), (35, 40)]


def test_a_birth_takes_bytes_from_whoever_had_them():
    log = Log()
    log.born(0, 10, "pages", "a", "", "", 0)
    log.born(5, 15, "image", "b", "", "", 1)
    assert [(each.owner, each.start, each.end, each.died_call) for each in log.all] == [
        ("a", 0, 10, 1),
        ("b", 5, 15, None),
        ("a", 0, 5, None),
    ]


def test_deaths_where_nothing_lives_change_nothing():
    log = Log()
    log.died(0, 100, 1)
    assert log.all == []
    log.born(10, 20, "pages", "", "", "", 2)
    log.died(0, 10, 3)
    log.died(20, 30, 4)
    (region,) = log.all
    assert region.died_call is None


class Bytes:
    """The naive side: for each byte who owns it, since which call, and of which piece it is."""

    def __init__(self):
        self.bytes = [None] * SPACE

    def died(self, start, end, call):
        for piece in {each for each in self.bytes[start:end] if each}:
            owner, _, first, last = piece
            for i in range(first, last):
                # What is left on either side is a piece of its own, as old as this call.
                self.bytes[i] = (owner, call, first, start) if i < start else (owner, call, end, last)
        self.bytes[start:end] = [None] * (end - start)

    def born(self, start, end, owner, call):
        self.died(start, end, call)
        self.bytes[start:end] = [(owner, call, start, end)] * (end - start)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, SPACE - 1), st.integers(1, SPACE)), max_size=25))
@settings(deadline=None, max_examples=200, database=None)
def test_it_agrees_with_a_list_of_bytes(steps):
    log, naive = Log(), Bytes()
    for call, (birth, start, size) in enumerate(steps):
        end = min(start + size, SPACE)
        known = [(each.id, each.start, each.end, each.owner, each.born_call) for each in log.all]
        dead = [each.died_call for each in log.dead]
        if birth:
            log.born(start, end, "pages", f"owner {call}", "", "", call)
            naive.born(start, end, f"owner {call}", call)
        else:
            log.died(start, end, call)
            naive.died(start, end, call)
        found = [log.at(i) for i in range(SPACE)]
        owned = [each if each and each.id else None for each in found]
        assert [each and (each.owner, each.born_call, each.start, each.end) for each in owned] == naive.bytes
        # What has had an owner and has none is known to have been freed.
        ever = {i for each in log.all for i in range(each.start, each.end)}
        assert [each is not None for each in found] == [i in ever for i in range(SPACE)]
        # Ids count up; of what was known only the call that ended it may change, and that once.
        assert [each.id for each in log.all] == list(range(1, len(log.all) + 1))
        assert [(each.id, each.start, each.end, each.owner, each.born_call) for each in log.all][: len(known)] == known
        assert [each.died_call for each in log.dead] == dead + [call] * (len(log.dead) - len(dead))
        assert {each.id for each in log} == {each.id for each in found if each and each.id}
        assert not {each.id for each in log} & {each.id for each in log.dead}


@given(
    st.lists(st.tuples(st.integers(0, SPACE), st.integers(1, 12)), max_size=10), st.integers(0, 80), st.integers(0, 80)
)
@settings(deadline=None, max_examples=200, database=None)
def test_the_pieces_of_a_range(births, start, end):
    log = Log()
    for at, size in births:
        log.born(at, at + size, "pages", "", "", "", 0)
    pieces = list(log.pieces(start, end))
    expected = [log.at(i) for i in range(start, end)]
    assert [region for region, first, last in pieces for _ in range(first, last)] == expected
    # Each piece is as long as it can be, and they follow each other.
    assert all(first < last for _, first, last in pieces)
    assert all(one[2] == other[1] for one, other in pairwise(pieces))
    assert all(one[0] is not other[0] for one, other in pairwise(pieces))


def test_what_was_put_into_memory_names_it():
    log = Log()
    log.born(0, 10, "pages", "", "LoaderData", "", 0)
    log.born(10, 20, "stack", "", "LoaderData", "stack", 0)
    for address, name in ((3, "initrd"), (5, "memory map"), (0, "initrd"), (12, "variable A"), (30, "nothing")):
        log.named(address, name)
    assert [each.name for each in log] == ["initrd, memory map", "stack"]
    for number in range(1000):
        log.named(0, f"variable {number}")
    assert len(log.at(0).name) <= 200
