"""The image training that both sides are given: the tiny random SD, drawn pictures, 256 pixels, batch 4, rank 8."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from trainer.commands.make_tiny import make_tiny

PICTURES, SIDE, BATCH = 32, 512, 4
COMMON: dict[str, Any] = {
    "lora_rank": 8,
    "lora_alpha": 8,
    "target_modules": ["to_q", "to_k", "to_v", "to_out.0"],  # those of diffusers' script
    "resolution": 256,
    "batch_size": BATCH,
    "epochs": 1000,
    "learning_rate": 1e-4,
    "lr_scheduler": "constant",
    "save_steps": 1_000_000,
    "precision": "fp32",
    "seed": 1,
}


def write_image_job(folder: Path) -> Path:
    data = folder / "data"
    data.mkdir(parents=True)
    random = np.random.default_rng(3)
    for number in range(PICTURES):
        ground = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        ground.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(data / f"{number:02}.png")
        (data / f"{number:02}.txt").write_text(f"coloured fields, number {number}, soft edges", encoding="utf-8")
    model = make_tiny("sd15", folder / "tiny-sd15")
    paths = {"base_model": str(model), "train_data_dir": str(data), "output_dir": str(folder / "output")}
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(COMMON | paths), encoding="utf-8")
    return file
