"""A run's description with something in every part."""

from __future__ import annotations

import copy

import pytest

from shim.config.run import RunReport

REPORT = {
    "payload": {"name": "stub", "sha256": "ab" * 32, "kind": "efi", "machine": "x86_64", "version": "6.1", "size": 512},
    "platform": {"name": "q35", "sha256": "11" * 32},
    "inputs": {"cmdline": None, "initrd_sha256": None, "initrd_size": None, "seed": 0},
    "outcome": {"kind": "returned", "status": "EFI_SUCCESS", "detail": "it returned"},
    "boot_services_exited": False,
    "handoff": {},
    "calls": {"count": 3, "by_name": {"Stall": 1, "Exit": 2}, "unimplemented": {}},
    "accesses": {"level": "calls"},
    "memory": {"ram_bytes": 1 << 30, "allocated_peak_bytes": 5 << 20, "digest": "22" * 32},
    "findings": [],
    "measurements": [],
    "console": "",
    "engine": {"unicorn": "2.1.4", "patched": False, "recorder": "none", "blocks": 1234567, "deterministic": True},
    "timing": {"wall_s": 0.5, "emulation_s": 0.25, "services_s": 0.125},
}


@pytest.fixture
def make_report():
    """A report; changes are given by part."""

    def make(**parts):
        data = copy.deepcopy(REPORT)
        for name, part in parts.items():
            data[name] = {**data[name], **part} if isinstance(part, dict) else part
        return RunReport(**data)

    return make
