"""The list of profiles."""

import pytest

from shim.errors import UsageError
from shim.measure.profiles import PROFILES, Profile


def test_each_is_found_by_its_own_name():
    assert {name: each.name for name, each in PROFILES.items()} == {name: name for name in PROFILES}
    assert {"firmware", "drtm", "xen", "exact"} == PROFILES.keys()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda each: each.name)
def test_an_option_that_it_lacks_is_refused_before_the_run_is_looked_at(profile):
    with pytest.raises(UsageError, match=f"profile {profile.name} has no option 'moon'; it has"):
        profile.measure(None, {"moon": "full"})


def test_options_are_handed_on():
    seen = []
    made = Profile("x", "", lambda run, given: seen.append((run, given)), {"a": ""})
    made.measure("run", {"a": "1"})
    assert seen == [("run", {"a": "1"})]
