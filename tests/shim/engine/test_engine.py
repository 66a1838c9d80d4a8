"""The engine: that one file knows Unicorn's inside, and what it needs of it is there."""

import ast
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import efi_services
import payloads
import shim

# Before unicorn itself: it is the engine that chooses which library there is.
from shim.engine import EmulationError, Engine, EngineInfo, build, engine_info  # isort: skip
from shim.config.places import cache_folder

import unicorn  # isort: skip
from unicorn import x86_const as x86  # isort: skip

PACKAGES = [Path(package.__file__).parent for package in (shim, efi_services, payloads)]


def modules():
    return [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]


def attributes(path):
    return {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_private_handle_is_touched_here_only():
    users = [path for path in modules() if "_uch" in attributes(path)]
    assert [path.parent.name for path in users] == ["engine"]


def test_nothing_else_imports_the_bindings_inside():
    users = [path for path in modules() if any(name.startswith("unicorn.unicorn_py3") for name in imported(path))]
    assert [path.parent.name for path in users] == ["engine"]


def test_only_engine_and_the_cpu_models_import_unicorn():
    users = {path.name for path in modules() if any(name.split(".")[0] == "unicorn" for name in imported(path))}
    assert users == {"__init__.py", "aarch64.py", "arm.py", "i386.py", "riscv64.py", "x86.py", "x86_64.py"}


def test_the_engine_says_what_it_is():
    built = build.find(cache_folder()) is not None and os.environ.get("EFI_SHIM_ENGINE") != "released"
    assert engine_info() == EngineInfo(unicorn.__version__, patched=built)


def test_the_released_engine_can_be_asked_for():
    """Even by a child of a process that has chosen the patched one."""
    code = "from shim.engine import engine_info; print(engine_info().patched)"
    environment = {**os.environ, "EFI_SHIM_ENGINE": "released"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_broken_library_in_the_cache_is_not_used(tmp_path):
    folder = tmp_path / "efi-shim" / "engine" / build.key()
    folder.mkdir(parents=True)
    (folder / build.LIBRARY).write_bytes(b"no library")
    (folder / "engine.json").write_text(json.dumps({"key": build.key(), "sha256": "0" * 64}))
    code = "from shim.engine import engine_info; print(engine_info().patched)"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("LIBUNICORN_PATH", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def page_of(memory):
    return (ctypes.addressof(memory) + 4095) & -4096


@pytest.fixture
def memory():
    return ctypes.create_string_buffer(3 * 4096)


@pytest.fixture
def engine(memory):
    engine = Engine(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    engine.map(0x1000, 4096, page_of(memory))
    return engine


def test_registers_are_read_in_one_batch(engine):
    registers = (x86.UC_X86_REG_RAX, x86.UC_X86_REG_CS, x86.UC_X86_REG_XMM3, x86.UC_X86_REG_RFLAGS)
    engine.write(x86.UC_X86_REG_RAX, (1 << 64) - 1)
    engine.write(x86.UC_X86_REG_XMM3, 0x0123_4567_89AB_CDEF << 64 | 5)
    first = engine.read(registers)
    assert first[0] == (1 << 64) - 1
    assert first[2] == 0x0123_4567_89AB_CDEF << 64 | 5
    # A batch that is used again holds nothing of the last time.
    engine.write(x86.UC_X86_REG_RAX, 0)
    engine.write(x86.UC_X86_REG_XMM3, 0)
    assert engine.read(registers) == [0, first[1], 0, first[3]]
    assert engine.read((x86.UC_X86_REG_RAX,)) == [0]
    assert engine.read(()) == []


def test_two_engines_have_two_cpus(engine):
    other = Engine(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    engine.write(x86.UC_X86_REG_RAX, 1)
    other.write(x86.UC_X86_REG_RAX, 2)
    assert [each.read((x86.UC_X86_REG_RAX,)) for each in (engine, other)] == [[1], [2]]


def test_an_error_has_its_number_and_a_sentence(engine):
    with pytest.raises(EmulationError) as caught:
        engine.run(0x5000_0000, 0x5000_1000)
    assert caught.value.code in (unicorn.UC_ERR_FETCH_UNMAPPED, unicorn.UC_ERR_READ_UNMAPPED)
    assert str(caught.value)


def test_exceptions_can_be_told_apart_again_and_again(engine, memory):
    """Where Unicorn keeps an exception is found out by trying; every version that is used has to pass this."""
    seen = []

    def on_exception(number):
        seen.append((number, engine.error_code()))
        engine.stop()

    engine.hook_interrupts(on_exception)
    for selector in (0x1230, 0x4568, 0x1230, 0xFFF8):
        # mov $selector, %ax; mov %eax, %ds
        code = b"\x66\xb8" + selector.to_bytes(2, "little") + b"\x8e\xd8"
        ctypes.memmove(page_of(memory), code, len(code))
        engine.drop_code(0x1000, 0x2000)
        engine.forget_exception()
        try:
            engine.run(0x1000, 0x1FFF)
        except EmulationError as error:
            pytest.fail(str(error))
    assert seen == [(13, 0x1230), (13, 0x4568), (13, 0x1230), (13, 0xFFF8)]


def test_forgetting_an_exception_changes_no_register(engine):
    numbers = (x86.UC_X86_REG_RAX, x86.UC_X86_REG_RSP, x86.UC_X86_REG_RIP, x86.UC_X86_REG_CR2, x86.UC_X86_REG_XMM7)
    for i, number in enumerate(numbers, 0x1001):
        engine.write(number, i)
    before = engine.read(numbers)
    engine.forget_exception()
    assert engine.read(numbers) == before == list(range(0x1001, 0x1006))
