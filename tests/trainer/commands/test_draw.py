"""`trainer draw`: the base model and an adapter draw different pictures, each the same every time."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pricing.training.config import TrainingConfig
from trainer.base_models.config import resolve_base_model
from trainer.commands.cli import app
from trainer.errors import ExitCode
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.formats.adapter import Adapter
from trainer.training.adapter_file import write_adapter


@pytest.fixture
def config_file(tiny_sd15, tmp_path) -> Path:
    file = tmp_path / "draw.yaml"
    file.write_text(f"base_model: {tiny_sd15}\nresolution: 64\n", encoding="utf-8")
    return file


def draw(config_file: Path, output: Path, *more: str) -> bytes:
    words = ["draw", "--config", str(config_file), "--prompt", "a disc", "--output", str(output), *more]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == ExitCode.SUCCEEDED, result.output
    with Image.open(output) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 64))
    return output.read_bytes()


@pytest.mark.slow
def test_an_adapter_changes_the_picture_and_the_seed_fixes_it(config_file, tiny_sd15, tmp_path) -> None:
    family = StableDiffusion.load(resolve_base_model(str(tiny_sd15)))
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=2, variant="rslora"))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    adapter = write_adapter(tmp_path / "adapter", Adapter(family.adapter_tensors(), family.adapter_config(), {}))
    plain = draw(config_file, tmp_path / "plain.png")
    with_adapter = draw(config_file, tmp_path / "adapted.png", "--adapter", str(adapter))
    again = draw(config_file, tmp_path / "again.png", "--adapter", str(adapter))
    assert plain != with_adapter == again


def test_a_text_model_and_an_image_model_say_which_command_is_theirs(config_file, tiny_model, tmp_path) -> None:
    text = tmp_path / "text.yaml"
    text.write_text(f"base_model: {tiny_model}\n", encoding="utf-8")
    drawn = CliRunner().invoke(app, ["draw", "--config", str(text), "--prompt", "x"])
    completed = CliRunner().invoke(app, ["complete", "--config", str(config_file), "--prompt", "x"])
    assert (drawn.exit_code, completed.exit_code) == (ExitCode.BAD_INPUT, ExitCode.BAD_INPUT)
    assert "use `trainer complete`" in drawn.output
    assert "use `trainer draw`" in completed.output
