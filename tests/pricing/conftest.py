import pytest
from hypothesis import settings

from pricing.catalog import get_base_model
from pricing.catalog.profile import BaseModelProfile

# Shared machines stall: how long an example takes says nothing about whether it is right.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture
def smollm2() -> BaseModelProfile:
    return get_base_model("smollm2-135m-instruct")


@pytest.fixture
def llama_7b() -> BaseModelProfile:
    return get_base_model("llama-2-7b")
