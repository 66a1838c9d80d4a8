"""Every module of some size has a test file named after it, where the tests mirror its package."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("shim", "efi_services", "payloads")
#: Lines of code up to which a module may go without.
SMALL = 25

#: Modules that another file covers: which, and why.
COVERED = {
    "shim/cli/__init__.py": ("tests/shim/cli/test_run.py", "it turns errors into lines and exit codes of the command"),
    "shim/cli/doctor.py": ("tests/shim/cli/test_verbs.py", "the verbs that look rather than run are together"),
    "shim/cli/fetch.py": ("tests/shim/cli/test_verbs.py", "as above; what it calls is payloads.fetch"),
    "shim/cli/places.py": ("tests/shim/cli/test_run.py", "folders and names are seen from the command"),
    **{
        f"shim/handoff/verdicts/{each}.py": (
            "tests/shim/handoff/verdicts/test_judge.py",
            "a hand-off, broken one rule at a time",
        )
        for each in (
            "arm64_cpu",
            "arm_cpu",
            "extents",
            "given",
            "kernel",
            "memory_map",
            "placement",
            "riscv64_cpu",
            "rule",
            "screen",
            "tables",
            "x86_cpu",
        )
    },
    "shim/report/handoff.py": ("tests/shim/cli/test_handoff.py", "what the verb shows"),
    "shim/session/given.py": ("tests/shim/cli/test_handoff.py", "what a run was given, as its verdicts tell"),
    "shim/errors.py": ("tests/shim/cli/test_run.py", "names and exit codes only"),
    "shim/machine/architecture.py": (
        "tests/shim/machine/test_x86_64.py",
        "an interface; these and AArch64's implement it",
    ),
    "shim/machine/user/mode.py": (
        "tests/shim/machine/user/test_x86_64.py",
        "an interface; these and those beside them implement it",
    ),
    "shim/machine/x86.py": (
        "tests/shim/machine/test_x86_64.py",
        "what both x86 architectures have; i386's covers the rest",
    ),
    **{
        f"efi_services/slaunch/{each}.py": ("tests/shim/session/test_launched.py", "a launch as a whole")
        for each in ("launcher", "loader")
    },
    "efi_services/decoder.py": ("tests/efi_services/test_dispatch.py", "what calls it, for each convention"),
    "efi_services/device_path_spellings.py": (
        "tests/efi_services/test_device_path_text.py",
        "the texts that it has are made there",
    ),
    "efi_services/system_table.py": ("tests/efi_services/test_tables.py", "what a guest finds at the table's address"),
    "efi_services/protocols/slaunch.py": ("tests/shim/session/test_launched.py", "as above"),
    "shim/kexec/tables.py": ("tests/shim/kexec/test_execute.py", "what goes on from one kernel to the next"),
    "shim/session/left.py": ("tests/shim/kexec/test_execute.py", "as above"),
    "shim/cli/kexec.py": ("tests/shim/kexec/test_execute.py", "as above"),
    "shim/session/run.py": ("tests/shim/session/test_programs.py", "a run as a whole: programs, and real kernels"),
    "efi_services/protocols/hii_string.py": (
        "tests/efi_services/protocols/test_hii_database.py",
        "strings are of packages that are in the database",
    ),
    "efi_services/file_info.py": (
        "tests/efi_services/protocols/test_file.py",
        "structures that the file protocol gives",
    ),
    "efi_services/boot_choices.py": ("tests/efi_services/test_boot_manager.py", "what the boot manager tries"),
    "efi_services/image_source.py": ("tests/efi_services/test_disks.py", "LoadImage from disks, as a guest sees it"),
    "efi_services/protocols/block_io.py": ("tests/efi_services/test_disks.py", "the protocols of disks are together"),
    "efi_services/protocols/disk_io.py": ("tests/efi_services/test_disks.py", "the protocols of disks are together"),
    "efi_services/protocols/device_path_to_text.py": (
        "tests/efi_services/protocols/test_device_path_utilities.py",
        "the three protocols about paths are together",
    ),
    "efi_services/protocols/device_path_from_text.py": (
        "tests/efi_services/protocols/test_device_path_utilities.py",
        "the three protocols about paths are together",
    ),
    "efi_services/protocols/simple_text_input_ex.py": ("tests/efi_services/test_keyboard.py", "one keyboard, two ways"),
    "shim/config/disks.py": ("tests/shim/disks/test_attached.py", "settings; this opens what they name"),
    "shim/disks/fat_names.py": ("tests/shim/disks/test_virtual.py", "the directories of a virtual disk"),
    "shim/machine/aborts.py": (
        "tests/shim/machine/test_aarch64.py",
        "exceptions as a guest of either state meets them",
    ),
    "shim/tpm/connection.py": (
        "tests/shim/tpm/test_swtpm.py",
        "what answers wrongly, late, or not at all, as its users see",
    ),
    "efi_services/gates.py": ("tests/efi_services/test_firmware.py", "where the CPU enters the firmware"),
    "efi_services/machine_tables.py": ("tests/efi_services/test_configuration.py", "what is installed at power-on"),
    "shim/session/request.py": ("tests/shim/cli/test_run.py", "what is refused, as the command says it"),
    "efi_services/platform.py": ("tests/shim/session/test_build.py", "data without behaviour; this fills it"),
    "efi_services/ports.py": ("tests/efi_services/conftest.py", "interfaces; this implements all of them"),
    "payloads/apt.py": ("tests/payloads/test_fetch.py", "apt is there to fetch"),
    "payloads/model.py": ("tests/payloads/test_identify.py", "data without behaviour; this looks at all of it"),
    "payloads/programs/build.py": ("tests/payloads/test_programs.py", "building the programs"),
    "payloads/sbat.py": ("tests/payloads/test_describe.py", "a part of a description"),
    "payloads/signatures.py": ("tests/payloads/test_describe.py", "a part of a description"),
}


def code_lines(path):
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    text = path.read_text(encoding="utf-8")
    lines = {number for number, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] != "#"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if code_lines(path) > SMALL:
                yield path.relative_to(ROOT)


def name_of(module):
    return module.parent.name if module.stem == "__init__" else module.stem


@pytest.mark.parametrize("module", list(modules()), ids=str)
def test_a_module_has_its_test(module):
    if str(module) in COVERED:
        file, _why = COVERED[str(module)]
        assert (ROOT / file).is_file()
        return
    folder = ROOT / "tests" / module.parent
    assert list(folder.rglob(f"test_{name_of(module)}.py")), f"no test_{name_of(module)}.py below {folder}"


def test_nothing_is_excused_twice():
    known = {str(module) for module in modules()}
    for module in COVERED:
        assert module in known, f"{module} is gone, or small by now"
        path = Path(module)
        assert not list((ROOT / "tests" / path.parent).rglob(f"test_{name_of(path)}.py")), f"{module} has its own test"


def test_the_lines_of_code_are_counted(tmp_path):
    path = tmp_path / "x.py"
    path.write_text('"""Doc.\n\nMore.\n"""\n\n# comment\nx = 1\n\n\ndef f():\n    """Doc."""\n    return """a\nb"""\n')
    assert code_lines(path) == 4
