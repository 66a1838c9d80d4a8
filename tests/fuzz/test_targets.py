"""The fuzz targets, on their seeds and on what is near them: a target that can't read its seeds finds nothing."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("loading", HERE / "loading.py")
loading = importlib.util.module_from_spec(_spec)
# The targets import it by this name.
sys.modules["loading"] = loading
_spec.loader.exec_module(loading)
MAX_SEED = 100_000


@pytest.fixture(params=loading.names())
def target(request):
    return loading.load(request.param)


def test_it_has_small_seeds(target):
    seeds = target.seeds()
    assert seeds
    assert all(len(each) <= MAX_SEED for each in seeds.values())


def test_they_load_without_what_pytest_adds():
    """All in one process, as `make fuzz` loads them to plant their seeds."""
    code = f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(loading.ROOT)!r}]; import loading\n"
    code += "assert all(loading.load(name).seeds() for name in loading.names())"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_reads_its_seeds(target):
    for data in target.seeds().values():
        loading.try_one(target, data)


def test_it_reads_or_refuses_what_is_near_them(target):
    for data in target.seeds().values():
        for at in range(0, len(data), max(1, len(data) // 16)):
            loading.try_one(target, data[:at])
            loading.try_one(target, data[:at] + bytes([data[at] ^ 0x81]) + data[at + 1 :])
            loading.try_one(target, data[:at] + b"\xff" * 4 + data[at + 4 :])


def test_what_is_no_documented_error_is_found():
    class Broken:
        ERRORS = (ValueError,)

        @staticmethod
        def target(data):
            raise {b"a": KeyError("a"), b"b": ValueError(), b"c": ValueError("why")}[data]

    with pytest.raises(KeyError):
        loading.try_one(Broken, b"a")
    with pytest.raises(AssertionError):
        loading.try_one(Broken, b"b")
    loading.try_one(Broken, b"c")
