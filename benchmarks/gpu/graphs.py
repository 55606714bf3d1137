"""What CUDA graphs gain where shapes repeat: pictures through compiled blocks with them and without, and how far off.

A graph's outputs lie where its next replay writes, so activations that are kept for the way back and several batches a
step may come out wrong. Two steps of two batches each are therefore computed three times: without graphs, without them
again (kernels that add in any order differ from themselves), and with them. Decision 0095 says what follows from it.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.figures import Figure, RowResult, compare
from benchmarks.gpu.nearness import set_adapter
from benchmarks.gpu.picture_models import OurPictures, PictureJob, make_picture_config
from benchmarks.gpu.where import Place

GAIN_BAR = 1.05
OFF_BAR = 2.0  # times what the same without graphs is off from itself, at least a rounding of 32 bit
ROUNDING = 1e-7
STEPS, BATCHES, RATE = 2, 2, 1e-3


@dataclass(frozen=True)
class Computed:
    """Every loss and the last gradients, on the CPU in one row, and the seconds of a batch forward and back."""

    numbers: torch.Tensor
    seconds: float


def measure(place: Place, *, seconds: float) -> RowResult:
    job = PictureJob("sd15", place.pick(64, 8), place.pick(8, 2))
    compilers: Mapping[str, Any] = {"backend": "eager"} if place.is_rehearsal else {}
    graphs = compilers or {"mode": "reduce-overhead"}
    plain, again, graphed = (compute(place, job, options, seconds) for options in (compilers, compilers, graphs))
    name = f"{job.model}, {job.batch} pictures of {8 * job.side} px, compiled"
    without, with_graphs = 1 / plain.seconds, 1 / graphed.seconds
    itself, off = (_measure_difference(plain, other) for other in (again, graphed))
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
        set_adapter(ours.family)
        torch.manual_seed(1)
        ours.family.compile_blocks(**options)
        losses = [loss for _ in range(STEPS) for loss in _take_step(ours)]
        gradients = [parameter.grad.float().flatten() for parameter in _list_trained(ours)]
        took = place.measure(partial(_take_batch, ours), seconds=seconds)
    return Computed(torch.cat([torch.stack(losses), *gradients]).cpu(), took)


def _take_step(ours: OurPictures) -> list[torch.Tensor]:
    """Take a plain step down the gradient of some batches; returns their losses."""
    parameters = _list_trained(ours)
    for parameter in parameters:
        parameter.grad = None
    losses = [_take_batch(ours) for _ in range(BATCHES)]
    with torch.no_grad():
        for parameter in parameters:
            parameter.sub_(parameter.grad, alpha=RATE)
    return losses


def _take_batch(ours: OurPictures) -> torch.Tensor:
    torch.compiler.cudagraph_mark_step_begin()  # what the batch before left has been used
    loss = ours.family.compute_loss(ours.family.collate(ours.examples))
    loss.backward()
    return loss.detach().float().clone()


def _list_trained(ours: OurPictures) -> list[Any]:
    return [parameter for parameter in ours.family.model.parameters() if parameter.requires_grad]


def _measure_difference(one: Computed, other: Computed) -> float:
    return float((one.numbers - other.numbers).norm() / one.numbers.norm().clamp(min=1e-30))
