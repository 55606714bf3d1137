"""`trainer profile`: a folder's profile as JSON, without its weights and without its code."""

import json

import pytest
from typer.testing import CliRunner

from pricing.catalog import get_base_model
from pricing.catalog.profile import BaseModelProfile
from tests.trainer.families.chatglm.glm_folders import CONFIG
from trainer.commands.cli import app
from trainer.commands.make_tiny import make_tiny
from trainer.commands.profile import profile_model
from trainer.errors import BadInput
from trainer.families.text.causal_lm import CausalLM
from trainer.profiles import image_profile


def run(*arguments):
    return CliRunner().invoke(app, ["profile", *map(str, arguments)])


def test_a_folder_has_a_profile_that_the_catalogue_would_take(tiny_model, tiny_source, tmp_path):
    written = run(tiny_model, "--name", "mine", "--output", tmp_path / "mine.json")
    assert written.exit_code == 0, written.output
    profile = BaseModelProfile.model_validate_json((tmp_path / "mine.json").read_text())
    assert (profile.name, profile.family, profile.tokenizer) == ("mine", "causal_lm", None)
    assert profile.parameters == sum(p.numel() for p in CausalLM.load(tiny_source).model.parameters())
    assert profile.costs.forward_flops.at(100) > 2 * 100 * 100


def test_a_config_file_alone_will_do_and_the_profile_is_printed(tiny_model, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    printed = run(tmp_path / "config.json")
    assert json.loads(printed.output)["name"] == tmp_path.name


def test_chatglm_in_its_original_layout_has_the_modules_that_the_trainer_trains(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    profile = BaseModelProfile.model_validate_json(profile_model(tmp_path, None))
    assert profile.family == "chatglm"
    assert profile.default_target_modules == ("q_proj", "k_proj", "v_proj")


def test_a_diffusers_folder_has_the_costs_of_its_parts(tmp_path, monkeypatch):
    """Those of the UNet, which take long to measure, are held to the published ones by the tests of the catalogue."""
    monkeypatch.setattr(image_profile, "measure_costs", lambda *_network: get_base_model("sd-1.5").costs)
    profile = BaseModelProfile.model_validate_json(profile_model(make_tiny("sd15", tmp_path / "tiny"), None))
    assert profile.family == "stable_diffusion"
    assert profile.component_parameters.keys() == {"vae", "text_encoder"}
    measured, published = profile.costs, get_base_model("sd-1.5").costs
    assert 0 < measured.encode_flops.at(4096) < published.encode_flops.at(4096)
    assert 0 < measured.text_flops < published.text_flops


@pytest.mark.parametrize(
    ("config", "cure"),
    [
        (None, "give a model folder, or the config.json of one"),
        ({"_class_name": "UNet2DConditionModel"}, "give the folder above"),
        ({"model_type": "none_such", "auto_map": {"AutoConfig": "evil.Config"}}, "No code of a model folder is run"),
        ({"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2}, "no linear layer"),
        ({**CONFIG, "quantization_bit": 4}, "plain weights"),
    ],
)
def test_what_has_no_profile_is_told_why(tmp_path, config, cure):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=cure):
        profile_model(tmp_path, None)


def test_nothing_named_is_told_what_to_name():
    answer = run()
    assert answer.exit_code == 2
    assert "name a model folder" in answer.output
