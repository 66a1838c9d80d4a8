"""Who owns which bytes, beside a list with one entry for each byte."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shim.trace.regions import RegionLog

SPACE = 64


def test_a_region_lives_from_birth_to_death():
    log = RegionLog()
    log.born(0x1000, 0x2000, "pages", "stub", "LoaderData", 3)
    (region,) = log.all
    assert (region.id, region.start, region.end, region.born_call, region.died_call) == (1, 0x1000, 0x2000, 3, None)
    assert (region.kind, region.owner, region.name) == ("pages", "stub", "LoaderData")
    assert log.at(0xFFF) is None
    assert log.at(0x1000) is region
    assert log.at(0x1FFF) is region
    assert log.at(0x2000) is None
    log.died(0x1000, 0x2000, 9)
    assert region.died_call == 9
    assert log.at(0x1000) is None
    assert log.all == [region]


def test_what_is_left_of_a_region_is_a_region_of_its_own():
    log = RegionLog()
    log.born(0, 30, "pool", "stub", "LoaderData", 1)
    log.all[0].bytes_written = 30
    log.died(10, 20, 2)
    whole, low, high = log.all
    assert [(each.id, each.start, each.end) for each in log.all] == [(1, 0, 30), (2, 0, 10), (3, 20, 30)]
    assert (whole.born_call, whole.died_call) == (1, 2)
    for rest in (low, high):
        assert (rest.kind, rest.owner, rest.name, rest.born_call, rest.died_call) == ("pool", "stub", "LoaderData", 2, None)
        # What was counted while it was one region stays with that.
        assert (rest.bytes_read, rest.bytes_written) == (0, 0)
    assert [log.at(i) for i in (9, 10, 19, 20)] == [low, None, None, high]


def test_a_death_ends_all_that_it_reaches():
    log = RegionLog()
    for i in range(5):
        log.born(i * 10, i * 10 + 10, "pages", "", str(i), i)
    log.died(5, 35, 7)
    assert [each.died_call for each in log.all[:5]] == [7, 7, 7, 7, None]
    assert [(each.start, each.end) for each in log.all[5:]] == [(0, 5), (35, 40)]


def test_a_birth_takes_bytes_from_whoever_had_them():
    log = RegionLog()
    log.born(0, 10, "pages", "a", "", 0)
    log.born(5, 15, "image", "b", "", 1)
    assert [(each.owner, each.start, each.end, each.died_call) for each in log.all] == [
        ("a", 0, 10, 1),
        ("a", 0, 5, None),
        ("b", 5, 15, None),
    ]


def test_deaths_where_nothing_lives_change_nothing():
    log = RegionLog()
    log.died(0, 100, 1)
    log.born(10, 20, "pages", "", "", 2)
    log.died(0, 10, 3)
    log.died(20, 30, 4)
    (region,) = log.all
    assert region.died_call is None


@given(st.data())
@settings(deadline=None, max_examples=200, database=None)
def test_it_agrees_with_a_list_of_bytes(data):
    log = RegionLog()
    owners = [None] * SPACE
    born = {}
    steps = data.draw(
        st.lists(st.tuples(st.booleans(), st.integers(0, SPACE - 1), st.integers(1, SPACE)), max_size=25), "steps"
    )
    for call, (birth, start, size) in enumerate(steps):
        end = min(start + size, SPACE)
        known = [(each.id, each.start, each.end, each.born_call) for each in log.all]
        dying = {owner for owner in owners[start:end] if owner is not None}
        if birth:
            log.born(start, end, "pages", f"owner {call}", "", call)
        else:
            log.died(start, end, call)
        # Ids count up, and nothing that was said of a region before its death changes.
        assert [each.id for each in log.all] == list(range(1, len(log.all) + 1))
        assert [(each.id, each.start, each.end, each.born_call) for each in log.all][: len(known)] == known
        # The naive side: a byte's owner is the birth it comes from, and where that birth's piece began.
        for i in range(start, end):
            owners[i] = f"owner {call}" if birth else None
        born[f"owner {call}"] = call
        for i in range(SPACE):
            region = log.at(i)
            assert (region.owner if region else None) == owners[i], i
            if region is not None:
                assert region.start <= i < region.end
                assert region.died_call is None
                assert region.born_call == (call if owners[i] in dying else region.born_call)
                assert region.born_call >= born[owners[i]]
        alive = sorted((each.start, each.end) for each in log.all if each.died_call is None)
        assert all(first[1] <= second[0] for first, second in zip(alive, alive[1:], strict=False))
        assert sum(end - start for start, end in alive) == sum(owner is not None for owner in owners)


@given(st.lists(st.tuples(st.integers(0, SPACE), st.integers(1, 12)), max_size=10), st.integers(0, 80), st.integers(0, 80))
@settings(deadline=None, max_examples=200, database=None)
def test_the_pieces_of_a_range(births, start, end):
    log = RegionLog()
    for at, size in births:
        log.born(at, at + size, "pages", "", "", None)
    pieces = list(log.pieces(start, end))
    expected = [log.at(i) for i in range(start, end)]
    assert [region for region, first, last in pieces for _ in range(first, last)] == expected
    # Each piece is as long as it can be, and they follow each other.
    assert all(first < last for _, first, last in pieces)
    assert all(one[2] == other[1] for one, other in zip(pieces, pieces[1:], strict=False))
    assert all(one[0] is not other[0] for one, other in zip(pieces, pieces[1:], strict=False))
