"""The memory profile of a Stable Diffusion model at hand, and where profiles are kept."""

import json
from pathlib import Path

import pytest

from pricing.catalog import get_base_model
from pricing.catalog.profile import BaseModelProfile
from trainer.base_models.config import BaseModelSource, resolve_base_model
from trainer.families.stable_diffusion.adapter import UNET_TARGETS
from trainer.families.stable_diffusion.configs import PIPELINES, get_config
from trainer.families.stable_diffusion.layout import COMPONENTS
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.profiles import profile_cache
from trainer.profiles.image_memory import profile_image_memory
from trainer.profiles.local_profile import find_profile
from trainer.profiles.profile_cache import keep_profile


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "profiles"


@pytest.mark.slow
def test_the_bytes_are_those_of_the_catalogue_for_the_published_parts() -> None:
    configs = {component: get_config("sd15", component) for component in COMPONENTS["sd15"]}
    profile, published = profile_image_memory(configs, "x", 512, UNET_TARGETS), get_base_model("sd-1.5")
    for positions in (64, 4096, 16384):
        for cost in ("activation_bytes", "all_linear_activation_bytes", "checkpoint_bytes", "layer_bytes"):
            ours, theirs = (getattr(each.costs, cost).at(positions) for each in (profile, published))
            assert ours == pytest.approx(theirs, rel=1e-3)
    told = ("parameters", "component_parameters", "modules", "text_modules", "resolution", "context_length", "layers")
    assert {name: getattr(profile, name) for name in told} == {name: getattr(published, name) for name in told}


@pytest.mark.slow
def test_a_folder_and_a_file_have_the_parameters_of_their_unet(tiny_sd15, tiny_sd15_file) -> None:
    profiles = [find_profile(resolve_base_model(str(path))) for path in (tiny_sd15, tiny_sd15_file)]
    unet = BaseWeights.open(tiny_sd15).load("unet")
    assert profiles[0].parameters == sum(parameter.numel() for parameter in unet.parameters())
    assert profiles[0].costs == profiles[1].costs


def test_the_published_architecture_is_not_measured(tmp_path, monkeypatch) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": PIPELINES["sdxl"]}))
    for component in (*COMPONENTS["sdxl"], "scheduler"):
        (tmp_path / component).mkdir()
        name = "scheduler_config.json" if component == "scheduler" else "config.json"
        further = {"_diffusers_version": "0.19.0", "sample_size": 96} if component == "unet" else {}
        (tmp_path / component / name).write_text(json.dumps(get_config("sdxl", component) | further))
        (tmp_path / component / "model.safetensors").touch()
    monkeypatch.setattr("trainer.profiles.local_profile.keep_profile", None)
    assert find_profile(BaseModelSource("mine", tmp_path)) is get_base_model("sdxl-1.0")


def test_what_is_no_model_has_no_profile(tmp_path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    assert find_profile(BaseModelSource("flux", tmp_path)) is None


def test_a_profile_that_took_long_is_measured_once(cache, monkeypatch) -> None:
    measured: list[BaseModelProfile] = []

    def measure() -> BaseModelProfile:
        measured.append(get_base_model("sd-1.5"))
        return measured[-1]

    monkeypatch.setattr(profile_cache, "WORTH_KEEPING_SECONDS", -1.0)
    assert [keep_profile({"a": 1}, measure) for _ in range(3)] == [get_base_model("sd-1.5")] * 3
    assert len(measured) == 1
    keep_profile({"a": 2}, measure)
    assert len(measured) == len(list(cache.iterdir())) == 2
    for file in cache.iterdir():
        file.write_text("{}")
    keep_profile({"a": 2}, measure)
    assert len(measured) == 3


def test_a_profile_that_is_soon_measured_is_not_kept_nor_is_one_where_nothing_can_be_written(
    cache, tmp_path, monkeypatch
) -> None:
    keep_profile({"a": 1}, lambda: get_base_model("sd-1.5"))
    assert not cache.exists()
    monkeypatch.setattr(profile_cache, "WORTH_KEEPING_SECONDS", -1.0)
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert keep_profile({"a": 1}, lambda: get_base_model("sd-1.5")) == get_base_model("sd-1.5")
