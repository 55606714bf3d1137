"""Loss and gradient of SD 1.5 and SDXL on the device, in each number format, against fp32 on the CPU."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.gpu.correct_text import CPU
from benchmarks.gpu.figures import Figure, RowResult
from benchmarks.gpu.nearness import LossAndGradient, differentiate, judge, set_adapter
from benchmarks.gpu.picture_models import OurPictures, PictureJob, make_picture_config
from benchmarks.gpu.where import Place

FORMATS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def measure(place: Place) -> RowResult:
    figures: list[Figure] = []
    for kind in ("sd15", "sdxl"):
        job = PictureJob(kind, side=16, batch=2)
        expected = compute(CPU, job, "fp32")
        for dtype in dict.fromkeys((place.dtype, torch.float16, torch.float32)):
            if dtype is not torch.float16 or place.device.type != "cpu":
                found = compute(place, job, FORMATS[dtype])
                figures += judge(f"{kind}, {FORMATS[dtype]}", found, expected, dtype)
    return RowResult("correct pictures", figures)


def compute(place: Place, job: PictureJob, precision: str) -> LossAndGradient:
    """Compute with a small model whose weights, noise and timesteps are drawn on the CPU."""
    small, config = replace(place, is_rehearsal=True), make_picture_config(place, job, precision=precision)
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-") as folder:
        ours = OurPictures(small, job, config, Path(folder), drawn_on=torch.device("cpu"))
        set_adapter(ours.family)
        torch.manual_seed(1)
        return differentiate(ours.family, ours.family.collate(ours.examples))
