import pytest

from slrts import BuildSlrt


@pytest.fixture(scope="session")
def build_slrt() -> type[BuildSlrt]:
    return BuildSlrt
