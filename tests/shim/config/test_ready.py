import pytest

from shim.config.platform import load_platform
from shim.errors import UsageError


@pytest.fixture
def load(tmp_path):
    """Loads a platform from TOML text."""

    def loads(text):
        path = tmp_path / "platform.toml"
        path.write_text("name = 'x'\n" + text)
        return load_platform(str(path))

    return loads


def test_a_platform_that_extends_another(load):
    """Tables are merged; everything else takes the other's place."""
    below, el2 = load_platform("virt-arm64"), load_platform("virt-arm64-el2")
    assert el2.exception_level == 2
    changed = {name for name, each in el2.device_tree.nodes.items() if below.device_tree.nodes[name] != each}
    assert changed == {"intc@8000000", "psci"}
    assert el2.device_tree.nodes["psci"].properties == {**below.device_tree.nodes["psci"].properties, "method": "smc"}
    mine = load("extends = 'q35'\n[memory]\nsize = '2G'\nreserved = []")
    q35 = load_platform("q35")
    assert mine.memory == q35.memory.model_copy(update={"size": 2 << 30, "reserved": ()})
    assert mine.firmware == q35.firmware


def test_false_takes_something_away(load):
    """Where there is nothing below, it is a value like any other."""
    below = load_platform("virt-arm64").device_tree
    mine = load("extends = 'virt-arm64'\nfirmware.rng = false\ndevice_tree.pmu = false\n")
    assert set(below.nodes) - set(mine.device_tree.nodes) == {"pmu"}
    assert not mine.firmware.rng
    assert load("extends = 'virt-arm64'\ndevice_tree = false").device_tree is None


@pytest.mark.parametrize("base", ["'q36'", "'x'", "3", "['q35']", "{}"])
def test_a_platform_extends_ready_ones_only(load, base):
    with pytest.raises(UsageError, match="extends"):
        load(f"extends = {base}")
