"""Forty real jobs of this machine: SmolLM2 and the tiny SD, each with settings drawn from a grid."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from broker.quotes.counts.row_lengths import RowLengths
from broker.quotes.counts.text import count_row_lengths, plan_text
from pricing.catalog import get_base_model
from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.text_rows import parse_text_files
from pricing.training.config import TrainingConfig
from pricing.training.step_plan import plan_steps
from pricing.training.workload import Workload
from trainer.commands.make_tiny import make_tiny
from trainer.profiles.image_folder import profile_image_folder

TEXT_JOBS, IMAGE_JOBS, SEED = 24, 16, 4
ROWS, PICTURES, SIDE = 48, 24, 256
SMOLLM2 = "smollm2-135m-instruct"
TEXT_GRID: dict[str, list[Any]] = {
    "lora_rank": [4, 8, 16],
    "batch_size": [1, 2, 4],
    "gradient_accumulation": [1, 2],
    "target_modules": [["q_proj", "v_proj"], ["all-linear"]],
    "gradient_checkpointing": [False, True],
    "packing": [True, False],
    "validation_split": [0.0, 0.1],
    "words": [40, 100, 220],
}
IMAGE_GRID: dict[str, list[Any]] = {
    "lora_rank": [4, 8, 16],
    "batch_size": [1, 2, 4],
    "gradient_accumulation": [1, 2],
    "resolution": [128, 192, 256],
}
LATENT_PIXELS = 8
VOCABULARY = ("tea", "rain", "river", "lantern", "mountain", "quiet", "morning", "paper", "garden", "window", "harbour")


@dataclass(frozen=True)
class LocalJob:
    """A job as the trainer reads it, and what the estimator knows of it beforehand."""

    name: str
    file: Path
    config: TrainingConfig
    profile: BaseModelProfile
    workload: Workload


def write_jobs(folder: Path) -> list[LocalJob]:
    """Write all jobs, in an order drawn by a seed, so that the first ten are of both families."""
    draw = random.Random(SEED)
    jobs = [*_write_text_jobs(folder, draw), *_write_image_jobs(folder, draw)]
    draw.shuffle(jobs)
    return jobs


def _write_text_jobs(folder: Path, draw: random.Random) -> Iterator[LocalJob]:
    profile = get_base_model(SMOLLM2)
    for number in range(TEXT_JOBS):
        chosen = {key: draw.choice(values) for key, values in TEXT_GRID.items()}
        words = chosen.pop("words")
        rows_per_step = chosen["batch_size"] * chosen["gradient_accumulation"]
        keys = chosen | {"max_steps": max(3, round(1600 / (rows_per_step * words))), "max_length": 1024}
        data = folder / f"text-{words}"
        content = _write_rows(data, words)
        file, config = _write_job(folder / f"text-{number:02}", SMOLLM2, data, keys)
        rows = parse_text_files([("train.jsonl", content)]).rows
        lengths = RowLengths.of(count_row_lengths(rows, profile))
        yield LocalJob(f"text-{number:02}", file, config, profile, plan_text(lengths, config))


def _write_rows(folder: Path, words: int) -> bytes:
    """Write rows of half to one and a half times so many words."""
    draw = random.Random(words)
    rows = []
    for _ in range(ROWS):
        completion = " ".join(draw.choices(VOCABULARY, k=draw.randint(words // 2, words * 3 // 2)))
        rows.append({"prompt": f"Write about {draw.choice(VOCABULARY)}.", "completion": completion})
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_bytes(content)
    return content


def _write_image_jobs(folder: Path, draw: random.Random) -> Iterator[LocalJob]:
    model = make_tiny("sd15", folder / "tiny-sd15")
    profile = profile_image_folder(model, "tiny-sd15")
    data = _write_pictures(folder / "pictures")
    for number in range(IMAGE_JOBS):
        chosen = {key: draw.choice(values) for key, values in IMAGE_GRID.items()}
        pictures_per_step = chosen["batch_size"] * chosen["gradient_accumulation"]
        area = (chosen["resolution"] / SIDE) ** 2
        keys = chosen | {"max_steps": max(4, round(24 / (pictures_per_step * area))), "aspect_buckets": False}
        file, config = _write_job(folder / f"image-{number:02}", str(model), data, keys)
        yield LocalJob(f"image-{number:02}", file, config, profile, _plan_pictures(config))


def _write_pictures(folder: Path) -> Path:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(3)
    for number in range(PICTURES):
        ground = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        ground.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(f"coloured fields, number {number}, soft edges", encoding="utf-8")
    return folder


def _plan_pictures(config: TrainingConfig) -> Workload:
    """Count the work of pictures that are all square, so that each has as many latent positions as the others."""
    plan = plan_steps(PICTURES, config)
    positions = ((config.resolution or 0) // LATENT_PIXELS) ** 2
    return Workload(
        rows=PICTURES,
        steps=plan.total_steps,
        micro_batches=plan.count_micro_batches(config.batch_size),
        samples=plan.count_rows(),
        tokens=0,
        positions=plan.count_rows() * positions,
        longest=positions,
    )


def _write_job(folder: Path, model: str, data: Path, keys: dict[str, Any]) -> tuple[Path, TrainingConfig]:
    folder.mkdir(parents=True)
    common = {"base_model": model, "epochs": 1000, "learning_rate": 1e-4, "save_steps": 1000, "precision": "fp32"}
    config = TrainingConfig.model_validate(
        common | keys | {"train_data_dir": str(data), "output_dir": str(folder / "output"), "seed": 1}
    )
    file = folder / "job.yaml"
    written = config.model_dump(mode="json", exclude_unset=True)
    file.write_text(yaml.safe_dump(written), encoding="utf-8")
    return file, config
