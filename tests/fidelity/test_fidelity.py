"""A boot that fails is tried again, but not for ever."""

import pytest

from fidelity import _tried
from qemu import Failed


def test_attempts(tmp_path, capsys):
    seen = []

    def boot(folder):
        seen.append(folder)
        assert not list(folder.iterdir())
        if len(seen) < 3:
            raise Failed("it faulted")
        return {"dmesg": b""}

    assert _tried(boot, tmp_path) == {"dmesg": b""}
    assert len(set(seen)) == 3
    assert capsys.readouterr().out.count("once more: it faulted") == 2


def test_it_fails_in_the_end(tmp_path):
    def boot(_folder):
        raise Failed("it faulted")

    with pytest.raises(Failed, match="it faulted"):
        _tried(boot, tmp_path)
