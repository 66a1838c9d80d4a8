"""The model of run.json."""

import json

import jsonschema
import pytest
from pydantic import ValidationError

from shim.config.run import SCHEMA, RunReport

LEAST = {
    "payload": {"name": "stub", "sha256": "00" * 32, "kind": "efi", "machine": "x86_64", "version": None, "size": 512},
    "platform": {"name": "q35", "sha256": "11" * 32},
    "inputs": {"cmdline": None, "initrd_sha256": None, "initrd_size": None, "seed": 0},
    "outcome": {"kind": "returned", "status": "EFI_SUCCESS", "detail": ""},
    "boot_services_exited": False,
    "handoff": {},
    "calls": {"count": 0, "by_name": {}, "unimplemented": {}},
    "accesses": {"level": "calls"},
    "memory": {"ram_bytes": 1 << 30, "allocated_peak_bytes": 0, "digest": "22" * 32},
    "findings": [],
    "measurements": [],
    "console": "",
    "engine": {"unicorn": "2.1.4", "patched": False, "recorder": "none", "blocks": 0, "deterministic": True},
    "timing": {"wall_s": 0.5, "emulation_s": 0.25, "services_s": 0.125},
}
MOST = LEAST | {
    "outcome": {"kind": "kernel-entry", "status": None, "detail": "the kernel's entry was reached"},
    "boot_services_exited": True,
    "handoff": {
        "entry": 0xFFFF_FFFF_8100_0000,
        "registers": {"rip": (1 << 64) - 1, "rax": 0},
        "entered_from": 0x10_0000,
    },
    "calls": {"count": 3, "by_name": {"Exit": 3}, "unimplemented": {"Stall": 1}},
    "accesses": {
        "level": "exact", "count": 1 << 40, "reads": 1, "writes": 2, "bytes_read": 3, "bytes_written": 4,
        "digest": "33" * 32, "kept": False,
    },
    "findings": [{"kind": "fault", "first": "ä\n\u001b[31m", "first_call": None, "count": 2}],
    "measurements": [
        {"pcr": 4, "mr": None, "type": "EV_IPL", "digests": {"sha256": "44"}, "description": "", "call": 7}
    ],
    "console": "text\u0000\u001b",
}  # fmt: skip


@pytest.fixture(params=[LEAST, MOST], ids=["least", "most"])
def report(request):
    return RunReport(**request.param)


def test_what_is_written_is_read_again(report):
    again = RunReport.model_validate_json(report.to_json())
    assert again == report
    assert again.to_json() == report.to_json()


def test_the_text_ends_with_a_line_and_begins_with_the_schema(report):
    text = report.to_json()
    assert text.endswith("}\n")
    assert next(iter(json.loads(text).items())) == ("schema", SCHEMA)
    assert "schema_" not in text


def test_it_agrees_with_its_own_schema(report):
    schema = RunReport.json_schema()
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema).validate(json.loads(report.to_json()))


def test_addresses_are_hexadecimal_in_the_file_and_numbers_here():
    text = RunReport(**MOST).to_json()
    handoff = json.loads(text)["handoff"]
    assert handoff == {
        "entry": "0xffffffff81000000",
        "registers": {"rip": "0xffffffffffffffff", "rax": "0x0"},
        "entered_from": "0x100000",
    }
    read = RunReport.model_validate_json(text).handoff
    assert (read.entry, read.registers["rip"], read.entered_from) == (0xFFFF_FFFF_8100_0000, (1 << 64) - 1, 0x10_0000)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("handoff", "entry", "81000000"),  # no 0x
        ("handoff", "entry", "0xFF"),  # upper case
        ("handoff", "entry", 5),
        ("handoff", "registers", {"rip": "1"}),
        ("outcome", "kind", "else"),
        ("accesses", "level", "rows"),
        ("payload", "size", "512"),
        ("calls", "count", None),
    ],
)
def test_the_schema_refuses_what_is_never_written(part, key, value):
    written = json.loads(RunReport(**MOST).to_json())
    written[part][key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, RunReport.json_schema())


@pytest.mark.parametrize("value", ["zz", "", "0x", None, [], {}])
def test_a_register_that_is_no_number_is_refused(value):
    written = json.loads(RunReport(**MOST).to_json())
    written["handoff"]["registers"]["rip"] = value
    with pytest.raises(ValidationError):
        RunReport.model_validate_json(json.dumps(written))


@pytest.mark.parametrize("key", [*LEAST])
def test_nothing_may_be_missing(key):
    written = json.loads(RunReport(**LEAST).to_json())
    del written[key]
    with pytest.raises(ValidationError, match=key):
        RunReport.model_validate_json(json.dumps(written))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, RunReport.json_schema())


def test_keys_of_later_versions_are_let_through():
    written = json.loads(RunReport(**LEAST).to_json())
    written["later"] = written["payload"]["later"] = 1
    read = RunReport.model_validate_json(json.dumps(written))
    assert read == RunReport(**LEAST)


def test_a_report_does_not_change(report):
    with pytest.raises(ValidationError):
        report.console = "else"
    with pytest.raises(ValidationError):
        report.outcome.kind = "fault"
