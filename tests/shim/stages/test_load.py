import zlib

import pytest

from shim.errors import NotRunnableError, UnreadableError, UsageError
from shim.stages.load import load
from shim.stages.state import StoppedError


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        name = f"stage_{zlib.crc32(request.node.name.encode()):08x}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_a_function_gets_the_state(module):
    seen = []
    stage = load(f"{module('def go(state): state.append(1)')}:go")
    stage.run(seen)
    assert seen == [1]
    assert stage.offer is None


def test_a_class_is_made_once_and_has_two_ends(module):
    text = """
class Two:
    def offer(self, firmware):
        self.firmware = firmware
    def enter(self, state):
        state.append(self.firmware)
"""
    stage, seen = load(f"{module(text)}:Two"), []
    stage.prepare("firmware")
    stage.run(seen)
    assert seen == ["firmware"]


@pytest.mark.parametrize("words", ["", "module", ":go", "module:", "module:two words", "module:a.b"])
def test_words_that_name_nothing(words):
    with pytest.raises(UsageError, match="give MODULE:FUNCTION"):
        load(words)


def test_no_such_module():
    with pytest.raises(UnreadableError, match="there is no module nowhere_at_all"):
        load("nowhere_at_all:go")


def test_a_module_that_needs_what_is_missing(module):
    name = module("\nimport nowhere_at_all")
    with pytest.raises(NotRunnableError, match=rf"ModuleNotFoundError: .*\({name}.py, line 2\)"):
        load(f"{name}:go")


@pytest.mark.parametrize("text", ["go = 1", "", "class go: pass"])
def test_a_module_without_such_a_stage(module, text):
    with pytest.raises(UsageError, match="--stage"):
        load(f"{module(text)}:go")


@pytest.mark.parametrize(
    "text", ["1 / 0", "import sys; sys.exit(0)", "def go(:", "class go:\n    def __init__(self): 1 / 0"]
)
def test_a_module_that_breaks(module, text):
    with pytest.raises(NotRunnableError, match=r"Error|SystemExit") as why:
        load(f"{module(text)}:go")
    assert "\n" not in str(why.value)


def test_a_stage_that_breaks_says_where(module):
    name = module("def go(state):\n    raise ValueError('two\\nlines')")
    with pytest.raises(NotRunnableError, match=rf"^stage {name}:go: ValueError: two lines \({name}.py, line 2\)$"):
        load(f"{name}:go").run(None)


def test_a_stage_that_says_no(module):
    name = module("from shim.stages.state import StoppedError\ndef go(state): raise StoppedError('no')")
    with pytest.raises(StoppedError, match="no"):
        load(f"{name}:go").run(None)
