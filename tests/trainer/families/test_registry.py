"""Which family a base model belongs to, told by its files, and what is known of a family without its code."""

import pytest

from trainer.base_models.config import BaseModelSource
from trainer.families.chatglm.chatglm import ChatGLM
from trainer.families.registry import get_family, get_family_class
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.families.text.causal_lm import CausalLM


@pytest.mark.parametrize(
    ("model_type", "family_class", "has_catalogue_names"),
    [("llama", CausalLM, True), ("chatglm", ChatGLM, False), ("glm4", ChatGLM, False), (None, CausalLM, True)],
)
def test_a_language_model_is_told_by_its_model_type(tmp_path, model_type, family_class, has_catalogue_names) -> None:
    if model_type is not None:
        (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    source = BaseModelSource("mine", tmp_path)
    assert get_family_class(source) is family_class
    assert (get_family(source).is_text, get_family(source).has_catalogue_names) == (True, has_catalogue_names)


def test_a_pipeline_is_told_by_its_index_or_as_one_file(tmp_path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        source = BaseModelSource("mine", weights)
        assert get_family_class(source) is StableDiffusion
        assert not get_family(source).is_text
