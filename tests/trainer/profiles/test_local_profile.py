"""A model folder's profile, without its weights."""

from pricing.catalog import get_base_model
from pricing.catalog.profile import ModuleShape
from trainer.base_models.config import BaseModelSource
from trainer.families.text.causal_lm import CausalLM
from trainer.profiles.local_profile import find_profile


def test_a_folder_has_the_parameters_and_modules_of_the_loaded_model(tiny_source) -> None:
    profile = find_profile(tiny_source)
    assert profile.parameters == sum(p.numel() for p in CausalLM.load(tiny_source).model.parameters())
    assert (profile.layers, profile.vocabulary, profile.context_length) == (2, 257, 128)
    assert profile.modules["v_proj"] == (ModuleShape(in_features=32, out_features=16, count=2),)
    assert "lm_head" not in profile.modules


def test_the_catalogue_comes_first_and_what_is_no_model_has_none(tmp_path) -> None:
    known = get_base_model("smollm2-135m-instruct")
    assert find_profile(BaseModelSource(known.name, tmp_path, known)) is known
    assert find_profile(BaseModelSource("x", tmp_path)) is None
    (tmp_path / "config.json").write_text('{"model_type": "none_such"}')
    assert find_profile(BaseModelSource("x", tmp_path)) is None
