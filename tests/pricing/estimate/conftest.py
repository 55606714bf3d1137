import pytest

from pricing.catalog import BaseModelProfile, get_base_model
from pricing.estimate.text_rows import TextFormat


@pytest.fixture
def smollm2() -> BaseModelProfile:
    return get_base_model("smollm2-135m-instruct")


@pytest.fixture
def llama_7b() -> BaseModelProfile:
    return BaseModelProfile(
        name="llama-7b",
        family="causal_lm",
        licence="llama",
        parameters=6_738_415_616,
        hidden_size=4096,
        layers=32,
        attention_heads=32,
        vocabulary=32_000,
        context_length=2048,
        bytes_per_parameter=2,
        modules={"q_proj": (4096, 4096), "v_proj": (4096, 4096), "down_proj": (11_008, 4096)},
        default_target_modules=("q_proj", "v_proj"),
        tokenizer="llama.json.gz",
        text_format=TextFormat(),
    )
