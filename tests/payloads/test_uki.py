import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payloads import Kind, NotRunnable, catalogue, identify
from payloads.describe import describe
from payloads.uki import SECTIONS, contents, profiles
from ukis import extend

PROGRAM = catalogue.program("program:hello").read_bytes()
TWO_PROFILES = [
    (".linux", b"kernel"),
    (".cmdline", b"quiet"),
    (".osrel", b"ID=debian"),
    (".profile", b'ID=main\nTITLE="Debian"\n'),
    (".profile", b"# debugging\nID=debug\nTITLE=Debian, loudly\nX"),
    (".cmdline", b"debug"),
    (".dtb", b"tree"),
]


def read(sections, **how):
    payload = identify(extend(PROGRAM, sections, **how), "test")
    assert payload.kind is Kind.UKI
    return payload


def profiles_of(sections, **how):
    payload = read(sections, **how)
    return [
        (each.number, each.id, each.title, {one.name: _data(payload, one) for one in each.sections})
        for each in profiles(payload.data, payload.image)
    ]


def _data(payload, section):
    return payload.data[section.raw_offset : section.raw_offset + section.virtual_size]


def test_without_profiles_there_is_one():
    (profile,) = profiles_of([(".uname", b"6.1"), (".linux", b"kernel")])
    assert profile == (0, None, None, {".linux": b"kernel", ".uname": b"6.1"})
    assert list(profile[3]) == [".linux", ".uname"]


def test_a_profile_takes_what_is_common_and_prefers_its_own():
    main, debug = profiles_of(TWO_PROFILES)
    assert main[:3] == (0, "main", "Debian")
    assert debug[:3] == (1, "debug", "Debian, loudly")
    common = {".linux": b"kernel", ".osrel": b"ID=debian"}
    assert main[3] == {**common, ".cmdline": b"quiet", ".profile": TWO_PROFILES[3][1]}
    assert debug[3] == {**common, ".cmdline": b"debug", ".profile": TWO_PROFILES[4][1], ".dtb": b"tree"}


def test_of_two_sections_of_a_name_the_first_counts():
    (profile,) = profiles_of([(".linux", b"one"), (".cmdline", b"first"), (".cmdline", b"second")])
    assert profile[3][".cmdline"] == b"first"


def test_the_table_decides_and_not_the_addresses():
    def swapped(number, place):
        place[1] += {1: 0x1000, 2: -0x1000}.get(number, 0)
        return place

    main, debug = profiles_of([(".linux", b"k"), (".profile", b"ID=b"), (".profile", b"ID=a")], patch=swapped)
    assert (main[1], debug[1]) == ("b", "a")


def test_what_inspect_tells():
    described = describe(read(TWO_PROFILES))["uki"]
    assert described["cmdline"] == "quiet"
    assert described["profiles"] == [
        {"number": 0, "id": "main", "title": "Debian", "sections": ".linux .osrel .cmdline .profile"},
        {"number": 1, "id": "debug", "title": "Debian, loudly", "sections": ".linux .osrel .cmdline .dtb .profile"},
    ]


def test_contents_have_the_size_that_they_have_in_memory():
    def longer(number, place):
        place[0] += 3 * (number == 1)
        return place

    payload = read([(".linux", b"k"), (".cmdline", b"a"), (".profile", b"ID=x"), (".cmdline", b"b")], patch=longer)
    assert list(contents(payload.data, payload.image)) == [
        (".linux", b"k"),
        (".cmdline", b"a\0\0\0"),
        (".profile of profile 0", b"ID=x"),
        (".cmdline of profile 0", b"b"),
    ]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        (0, 0x1001, r"sections \.cmdline and \.initrd overlap in memory"),
        (0, 0xFFFF_FFFF, r"section \.cmdline reaches outside SizeOfImage"),
        (1, 0x1000, r"sections .* overlap in memory"),
        (1, 0xFFFF_F000, r"section \.cmdline reaches outside SizeOfImage"),
        (1, 0, r"section \.cmdline overlaps the headers"),
        (2, 0xFFFF_FFFF, r"the data of section \.cmdline lies outside the file"),
        (3, 0xFFFF_FFFF, r"section header \d is no valid section header"),
    ],
)
def test_sections_that_lie_are_refused_in_a_line(field, value, why):
    def lie(number, place):
        if number == 1:
            place[field] = value
        return place

    with pytest.raises(NotRunnable, match=why) as refused:
        read([(".linux", b"k"), (".cmdline", b"c"), (".initrd", b"i")], patch=lie)
    assert "\n" not in str(refused.value)


def test_empty_sections_and_foul_names_are_no_trouble():
    sections = [
        (".linux", b""),
        (".osrel", b"\xff\0\x1b[2J"),
        ("\x1b[31mx", b"y"),
        (".profile", b"=\n==\nID"),
        (".linuxxx", b""),
    ]
    (profile,) = profiles_of(sections)
    assert profile[:3] == (0, None, None)
    described = describe(read(sections))
    assert described["uki"]["osrel"] == "\ufffd\0\x1b[2J"


@given(st.lists(st.tuples(st.sampled_from([*SECTIONS, ".x"]), st.binary(max_size=40)), max_size=9))
@settings(max_examples=50, deadline=None)
def test_every_profile_is_made_of_the_table(sections):
    payload = identify(extend(PROGRAM, [(".linux", b"k"), *sections]), "test")
    found = profiles(payload.data, payload.image)
    assert len(found) == max([name for name, _ in sections].count(".profile"), 1)
    for profile in found:
        names = [each.name for each in profile.sections]
        assert names == sorted(set(names), key=SECTIONS.index)
        assert ".linux" in names
    describe(payload)
