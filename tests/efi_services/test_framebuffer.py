import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.framebuffer import PIXEL_BYTES, Framebuffer, Resolution

WIDTH, HEIGHT = 7, 5


def rectangle(draw):
    """One that lies on the screen."""
    x, y = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    return x, y, draw(st.integers(1, WIDTH - x)), draw(st.integers(1, HEIGHT - y))


@st.composite
def moves(draw):
    """A rectangle, and where it goes."""
    x, y, width, height = rectangle(draw)
    return x, y, width, height, draw(st.integers(0, WIDTH - width)), draw(st.integers(0, HEIGHT - height))


rectangles = st.composite(rectangle)()
pixel = st.binary(min_size=PIXEL_BYTES, max_size=PIXEL_BYTES)


@pytest.fixture(scope="module")
def memory(fakes):
    return fakes.Memory()


@pytest.fixture(scope="module")
def screen(memory, specification):
    """A small one whose pixels are all different, and which knows what is around it."""
    return Framebuffer(memory, specification.base + 0x1000, Resolution(WIDTH, HEIGHT))


def number_pixels(screen, memory):
    pixels = [(0x100 + i).to_bytes(4, "little") for i in range(WIDTH * HEIGHT)]
    memory.write(screen.base - 4, b"edge" + b"".join(pixels) + b"edge")
    return [pixels[at : at + WIDTH] for at in range(0, len(pixels), WIDTH)]


def rows(screen, memory):
    assert memory.read(screen.base - 4, 4) == memory.read(screen.base + screen.resolution.size, 4) == b"edge"
    data = screen.picture().pixels
    pixels = [data[at : at + 4] for at in range(0, len(data), 4)]
    return [pixels[at : at + WIDTH] for at in range(0, len(pixels), WIDTH)]


def test_sizes():
    screen = Resolution(1024, 768)
    assert (screen.row_bytes, screen.size) == (4096, 3 << 20)


@given(rectangles, pixel)
def test_a_fill_changes_the_rectangle_and_nothing_else(screen, memory, area, colour):
    expected = number_pixels(screen, memory)
    x, y, width, height = area
    screen.fill(*area, colour)
    for row in range(y, y + height):
        expected[row][x : x + width] = [colour] * width
    assert rows(screen, memory) == expected


@given(moves())
def test_a_move_is_as_if_by_way_of_a_copy(screen, memory, move):
    """Whichever way the rectangles overlap."""
    expected = number_pixels(screen, memory)
    x, y, width, height, to_x, to_y = move
    taken = [row[x : x + width] for row in expected[y : y + height]]
    screen.move(*move)
    for i, row in enumerate(taken):
        expected[to_y + i][to_x : to_x + width] = row
    assert rows(screen, memory) == expected


@given(rectangles, st.integers(0, 16))
def test_what_is_given_away_can_be_taken_back(screen, memory, area, more):
    before = number_pixels(screen, memory)
    step = area[2] * PIXEL_BYTES + more
    elsewhere = screen.base + 0x1000
    screen.give(*area, elsewhere, step)
    x, y, width, _ = area
    assert memory.read(elsewhere, width * PIXEL_BYTES) == b"".join(before[y][x : x + width])
    screen.clear()
    screen.take(*area, elsewhere, step)
    black = bytes(PIXEL_BYTES)
    for number, row in enumerate(rows(screen, memory)):
        within = y <= number < y + area[3]
        assert row == [p if within and x <= i < x + width else black for i, p in enumerate(before[number])]
