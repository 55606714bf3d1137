"""What CUDA graphs gain where shapes repeat: pictures through compiled blocks with them and without, and how far off.

It computes and compares as the trial at the start of a job does (`trainer.training.graph_trial`), which takes graphs
where both bars hold and memory does: here is what they come to. Each is computed by a model of its own.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.figures import Figure, RowResult, compare
from benchmarks.gpu.picture_models import OurPictures, PictureJob, make_picture_config
from benchmarks.gpu.where import Place
from trainer.training.graph_trial import GAIN_BAR, GRAPHS, OFF_BAR, PLAIN, ROUNDING, Computed, compute_steps


def measure(place: Place, *, seconds: float) -> RowResult:
    job = PictureJob("sd15", place.pick(64, 8), place.pick(8, 2))
    compilers: Mapping[str, Any] = {"backend": "eager"} if place.is_rehearsal else PLAIN
    graphs = compilers if place.is_rehearsal else GRAPHS
    plain, again, graphed = (compute(place, job, options, seconds) for options in (compilers, compilers, graphs))
    name = f"{job.model}, {job.batch} pictures of {8 * job.side} px, compiled"
    without, with_graphs = 1 / min(plain.seconds, again.seconds), 1 / graphed.seconds
    itself, off = plain.measure_distance(again), plain.measure_distance(graphed)
    said = f"{off:.1e} of its length; without graphs twice: {itself:.1e}"
    return RowResult(
        "CUDA graphs",
        [
            compare(f"{name}: speed with graphs", with_graphs, without, "batches/s", "the same without", GAIN_BAR),
            Figure(f"{name}: off with graphs", off / max(itself, ROUNDING), "times its own", said, OFF_BAR),
        ],
    )


def compute(place: Place, job: PictureJob, options: Mapping[str, Any], seconds: float) -> Computed:
    """Compute the steps with blocks compiled by these options of `torch.compile`, then measure one batch of them."""
    torch.compiler.reset()
    place.forget()
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-") as folder:
        ours = OurPictures(place, job, make_picture_config(place, job), Path(folder), drawn_on=place.device)
        ours.family.compile_blocks(**options)
        return compute_steps(ours.family, ours.examples, partial(place.measure, seconds=seconds))
