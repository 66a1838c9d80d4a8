import pytest

from shim.config.platform import load_platform
from shim.errors import UsageError


@pytest.fixture
def load(tmp_path):
    """The platform of a file with that in its table of graphics."""

    def read(text):
        (tmp_path / "p.toml").write_text(f'extends = "q35"\nname = "screen"\n[graphics]\n{text}\n')
        return load_platform(str(tmp_path / "p.toml"))

    return read


def test_what_a_screen_is_where_nothing_is_said(load):
    graphics = load("").graphics
    assert graphics.sizes == ((640, 480), (800, 600), (1024, 768), (1280, 800))
    assert graphics.mode == "1280x800"


def test_the_plain_platforms_have_none():
    assert load_platform("q35").graphics is None
    assert load_platform("virt-arm64").graphics is None
    assert load_platform("q35-graphics").graphics == load_platform("virt-arm64-graphics").graphics is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('modes = ["0x480"]', "pattern"),
        ('modes = ["640 x 480"]', "pattern"),
        ("modes = []", "at least 1 item"),
        ('modes = ["640x480"]', "1280x800 is none of the modes"),
        ('modes = ["640x480", "640x480"]\nmode = "640x480"', "twice"),
        ('modes = ["9999x1"]\nmode = "9999x1"', "8192 pixels"),
        ("depth = 8", "Extra inputs"),
    ],
)
def test_what_can_not_be_is_refused(load, text, why):
    with pytest.raises(UsageError, match=why):
        load(text)
