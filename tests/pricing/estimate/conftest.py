import pytest

from pricing.catalog import get_base_model
from pricing.catalog.profile import BaseModelProfile


@pytest.fixture
def smollm2() -> BaseModelProfile:
    return get_base_model("smollm2-135m-instruct")


@pytest.fixture
def llama_7b() -> BaseModelProfile:
    return get_base_model("llama-2-7b")
