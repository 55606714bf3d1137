"""A whole run on pictures: what is held out, and what the adapter's header says of the base model."""

import hashlib
from typing import Any

import peft
import pytest
from diffusers import UNet2DConditionModel

from pricing.training.config import TrainingConfig
from tests.trainer.conftest import draw_pictures
from trainer.base_models.config import resolve_base_model
from trainer.families.registry import read_dataset
from trainer.stop import StopFlag
from trainer.training import session
from trainer.training.adapter_file import read_adapter
from trainer.training.recipe import TrainingResult

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("picture_cache")]


def test_a_held_out_picture_is_in_no_training_step_though_its_folder_repeats_it(
    tiny_sd15, tmp_path, monkeypatch, recorder
) -> None:
    """Past fault: the copies of `5_name` were dealt out one by one, so a held-out picture was learnt four times."""
    draw_pictures(tmp_path / "data" / "5_disc", count=4)
    given: dict[str, Any] = {}

    def note(_family: Any, examples: Any, *_: Any, held_out: Any, row_numbers: Any, **_named: Any) -> TrainingResult:
        given.update(trained=examples, held_out=held_out, row_numbers=row_numbers)
        return TrainingResult(0, 0, StopFlag().reason, None)

    monkeypatch.setattr(session, "train", note)
    monkeypatch.setattr(session, "write_adapter", lambda folder, _adapter: folder)
    config = TrainingConfig(
        base_model=str(tiny_sd15),
        train_data_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "output"),
        resolution=64,
        validation_split=0.25,
    )
    source = resolve_base_model(config.base_model)
    session.run_training(config, source, read_dataset(config, source), observer=recorder(), stop=StopFlag())
    assert (len(given["trained"]), len(given["held_out"])) == (15, 1)
    assert given["held_out"][0].latents not in {example.latents for example in given["trained"]}
    assert set(given["row_numbers"]) < set(range(1, 21))


def test_the_header_names_the_base_file_as_sd_scripts_does(tiny_sd15_file, tmp_path, recorder) -> None:
    draw_pictures(tmp_path / "data", count=2)
    config = TrainingConfig(
        base_model=str(tiny_sd15_file),
        train_data_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "output"),
        resolution=64,
        max_steps=1,
    )
    source = resolve_base_model(config.base_model)
    dataset = read_dataset(config, source)
    finished = session.run_training(config, source, dataset, observer=recorder(), stop=StopFlag())
    header = read_adapter(finished.adapter).header
    assert header["ss_sd_model_name"] == tiny_sd15_file.name
    assert header["ss_new_sd_model_hash"] == hashlib.sha256(tiny_sd15_file.read_bytes()).hexdigest()
    assert len(header["ss_sd_model_hash"]) == 8


def test_all_linear_is_written_as_the_layers_it_stood_for_and_the_base_is_found_again(
    tiny_sd15, tmp_path, recorder
) -> None:
    draw_pictures(tmp_path / "data", count=2)
    config = TrainingConfig(
        base_model=str(tiny_sd15),
        train_data_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "output"),
        target_modules="all-linear",
        lora_rank=2,
        resolution=64,
        max_steps=1,
    )
    source = resolve_base_model(config.base_model)
    dataset = read_dataset(config, source)
    finished = session.run_training(config, source, dataset, observer=recorder(), stop=StopFlag())
    adapter = read_adapter(finished.adapter)
    assert adapter.config["base_model_name_or_path"] == str(tiny_sd15.resolve())
    trained = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in adapter.tensors}
    assert set(adapter.config["target_modules"]) == trained
    unet = UNet2DConditionModel.from_pretrained(adapter.config["base_model_name_or_path"], subfolder="unet")
    loaded = peft.PeftModel.from_pretrained(unet, finished.adapter.parent)
    assert len([name for name in loaded.state_dict() if ".lora_A." in name]) == len(trained)
