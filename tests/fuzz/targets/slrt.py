"""SLR tables of boot loaders, in each layout: the first byte chooses it."""

from loading import borrow

from efi_services.slaunch.generations import GENERATIONS
from efi_services.slaunch.slrt import SlrtError, read

ERRORS = (SlrtError,)
MAX_LENGTH = 4096
LAYOUTS = [each.layout for each in GENERATIONS.values() if each.layout is not None]


def seeds():
    build = borrow("tests/shim/measure/conftest.py").BuildSlrt
    return {str(number): bytes([number]) + build.table(layout) for number, layout in enumerate(LAYOUTS)}


def target(data):
    layout = LAYOUTS[data[0] % len(LAYOUTS) if data else 0]
    table = read(data[1:], layout)
    assert len(table.measured) in (56, layout.intel_info)
    assert all(len(each.text) <= 4 * 32 for each in (*table.policy, *table.config))
