import pytest

from efi_services.tcg.algorithms import Algorithm
from shim.errors import UsageError
from shim.measure.formats import FORMATS, write_all
from shim.measure.model import Measurements

NAMES = {
    "tcg2", "tcg12", "ccel", "cel-json", "cel-cbor", "cel-tlv", "systemd", "aael", "aael-text", "tsm", "pcrs",
    "pcrlock", "rvps", "corim", "policy", "inputs", "json",
}  # fmt: skip


def test_the_formats_and_their_sentences():
    assert FORMATS.keys() == NAMES
    for name, each in FORMATS.items():
        assert each.name == name
        assert each.doc.endswith(".")
        assert each.doc.count(".") == 1


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_format_is_written_and_the_same_each_time(name, measured, wrap):
    if name == "inputs":
        measured = wrap(Measurements("exact", tuple(Algorithm), measured.sets[0].events))
    made = FORMATS[name].write(measured)
    assert made
    assert made == FORMATS[name].write(measured)
    if FORMATS[name].tree:
        assert all(path and not path.startswith("/") and ".." not in path for path in made)
        assert all(isinstance(contents, bytes) for contents in made.values())
    else:
        assert isinstance(made, bytes)


@pytest.mark.parametrize("name", sorted(NAMES - {"json"}))
def test_without_registers_there_is_one_line_for_it(name, wrap):
    with pytest.raises(UsageError) as why:
        FORMATS[name].write(wrap())
    assert "\n" not in str(why.value)


def test_all_that_can_be_written_and_why_the_rest_cannot(measured, mr_boots, wrap):
    made, refused = write_all(measured)
    assert {path.partition("/")[0] for path in made} == NAMES - {"inputs"}
    assert made["tcg2"] == FORMATS["tcg2"].write(measured)
    assert made["pcrlock/650-kernel.pcrlock"] == FORMATS["pcrlock"].write(measured)["650-kernel.pcrlock"]
    assert refused.keys() == {"inputs"}
    made, refused = write_all(wrap(mr_boots()))
    assert "PCRs" in refused["tcg2"]
    assert made.keys().isdisjoint(refused)
