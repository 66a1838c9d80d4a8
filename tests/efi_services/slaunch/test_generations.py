"""What kernels of each generation measure where no table tells."""

import pytest

from efi_services.slaunch.generations import GENERATIONS, policy
from efi_services.slaunch.slrt import Entity


@pytest.mark.parametrize("year", sorted(GENERATIONS))
def test_details_and_authorities_go_into_the_pcrs_that_were_chosen(year):
    entries = policy(GENERATIONS[year], 20, 19)
    assert {each.pcr for each in entries} == {19, 20}
    assert [each.entity for each in entries if each.pcr == 20] == [Entity.RAMDISK]


@pytest.mark.parametrize("year", sorted(GENERATIONS))
def test_texts_fit_into_an_entry(year):
    assert all(0 < len(each.text.encode("ascii")) < 32 for each in policy(GENERATIONS[year], 17, 18))


def test_only_the_oldest_have_no_table_and_measure_the_heap():
    for year, generation in GENERATIONS.items():
        kinds = {each.entity for each in policy(generation, 17, 18)}
        assert (Entity.SLRT in kinds, Entity.TXT_OS2MLE in kinds) == (
            (False, True) if year == "2022" else (True, False)
        )
