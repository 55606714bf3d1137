"""A resumed image training has exactly the losses of one without a break."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pricing.training.config import TrainingConfig
from trainer.base_models.config import resolve_base_model
from trainer.data.image_dataset import read_image_dataset
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.training.checkpoint import CheckpointFolder
from trainer.training.recipe import TrainingResult, train
from trainer.training.state import RunIdentity, seed_generators

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("picture_cache")]
EVERYTHING_ON: dict[str, Any] = {
    "resolution": 64,
    "lora_rank": 4,
    "lora_dropout": 0.2,
    "batch_size": 2,
    "gradient_accumulation": 2,
    "epochs": 6,
    "learning_rate": 1e-3,
    "warmup_steps": 2,
    "save_steps": 100,
    "flip": True,
    "caption_dropout": 0.2,
    "noise_offset": 0.05,
    "min_snr_gamma": 5.0,
    "validation_split": 0.1,
}


def run(config: TrainingConfig, observer: Any, resume_from: Path | None = None) -> TrainingResult:
    family = StableDiffusion.load(resolve_base_model(config.base_model), config)
    examples = family.encode(read_image_dataset(config).rows, max_length=0)
    seed_generators(config.seed)
    family.attach_adapter(config)
    return train(
        family,
        examples[1:],
        RunIdentity(config, "tiny", family.fingerprint(examples)),
        checkpoints=CheckpointFolder(Path(config.output_dir) / "checkpoints", resume_from),
        resume_from=resume_from,
        observer=observer,
        stop=observer.stop,
        held_out=examples[:1],
    )


@pytest.mark.parametrize(("kind", "train_text_encoder"), [("sd15", False), ("sd15", True), ("sdxl", False)])
def test_twelve_steps_with_a_break_are_those_without_one(
    kind, train_text_encoder, request, picture_dataset, tmp_path, recorder
) -> None:
    config = TrainingConfig(
        base_model=str(request.getfixturevalue(f"tiny_{kind}")),
        train_data_dir=str(picture_dataset),
        output_dir=str(tmp_path / "output"),
        train_text_encoder=train_text_encoder,
        **EVERYTHING_ON,
    )
    whole, first, second = recorder(), recorder(stop_after=5), recorder()
    assert run(config, whole).steps == 12
    stopped = run(config, first)
    torch.manual_seed(999)  # whatever the process did before it resumes must not matter
    resumed = run(config, second, stopped.checkpoint)
    assert first.losses + second.losses == whole.losses
    assert resumed.tokens == sum(report.tokens for report in whole.reports)
    assert len(set(whole.losses)) == 12
