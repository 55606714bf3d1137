"""The sample file of MISSION.md runs as it is, in its place, on a tiny model."""

from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from trainer.commands.cli import app
from trainer.errors import ExitCode

MISSION_FILE = """\
train_data_dir: ./data/style_train
metadata_path: ./data/style_train/metadata.csv
base_model: ./models/Stable-diffusion/v1-5-pruned.safetensors
lora_rank: 8
batch_size: 4
epochs: 10
learning_rate: 2e-4
output_dir: ./output/my_style_lora
save_steps: 100
"""


@pytest.fixture
def workplace(tmp_path, tiny_sd15_file, picture_cache, monkeypatch) -> Path:
    """Make a working directory with the file, a tiny model where it says, and one picture of 512 pixels with its
    caption.
    """
    model = tmp_path / "models" / "Stable-diffusion" / "v1-5-pruned.safetensors"
    model.parent.mkdir(parents=True)
    model.symlink_to(tiny_sd15_file)
    data = tmp_path / "data" / "style_train"
    data.mkdir(parents=True)
    Image.effect_noise((512, 512), 90).save(data / "a.png")
    (data / "metadata.csv").write_text("file_name,text\na.png,grey noise\n", encoding="utf-8")
    (tmp_path / "train.yaml").write_text(MISSION_FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_sample_file_runs_as_it_is(workplace) -> None:
    result = CliRunner().invoke(app, ["train", "--config", "train.yaml"])
    assert result.exit_code == ExitCode.SUCCEEDED, result.output
    with safe_open(workplace / "output" / "my_style_lora" / "adapter_model.safetensors", framework="pt") as file:
        assert file.metadata()["steps"] == "10"
        assert file.metadata()["tokens"] == str(10 * 4)
        assert file.get_tensor(next(iter(file.keys()))).shape[0] == 8


def test_a_checkpoint_file_is_refused_with_the_cure(workplace) -> None:
    model = workplace / "models" / "Stable-diffusion" / "v1-5-pruned.ckpt"
    model.write_bytes(b"\x80\x04.")
    (workplace / "train.yaml").write_text(MISSION_FILE.replace(".safetensors", ".ckpt"), encoding="utf-8")
    result = CliRunner().invoke(app, ["train", "--config", "train.yaml"])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "base_model" in result.output
    assert "is a pickle, which can run any code" in result.output
    assert "take the .safetensors file of the same model" in result.output


def test_bad_pictures_are_told_before_the_model_is_loaded(workplace) -> None:
    (workplace / "data" / "style_train" / "a.png").write_bytes(b"")
    result = CliRunner().invoke(app, ["train", "--config", "train.yaml"])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "a.png has no content (0 bytes); copy the file again" in result.output
    assert not (workplace / "output").exists()


def test_a_key_of_text_training_is_refused_for_an_image_model(workplace) -> None:
    (workplace / "train.yaml").write_text(MISSION_FILE + "max_length: 128\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["train", "--config", "train.yaml"])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "max_length: has no meaning for v1-5-pruned, which is an image model" in result.output
