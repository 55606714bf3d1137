"""Whether compiled blocks are replayed as CUDA graphs: tried on the device, on this job's own rows, before it trains.

A graph's outputs lie where its next replay writes, so activations that are kept for the way back and several batches a
step may come out wrong, on some cards and not on others. Two steps of two batches are therefore computed three times:
without graphs, without them again (kernels that add in any order differ from themselves), and with them. What fails in
any way, or is not clearly faster, is left. Decision 0119 says why.
"""

import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from trainer.families.family import Family
from trainer.kernels.choice import REPLAYING, Choice
from trainer.training.optimizer_step import clear_gradients

PLAIN: Mapping[str, Any] = {}
GRAPHS: Mapping[str, Any] = {"mode": REPLAYING}
STEPS, BATCHES, RATE = 2, 2, 1e-3  # a graph is warmed up, recorded, and replayed from the third batch on
TIMED = 8
SEED = 1
GAIN_BAR = 1.05
MEMORY_BAR = 1.1  # times the same without: what a job was said to need still holds
OFF_BAR = 2.0  # times what the same without graphs is off from itself, at least a rounding of 32 bit
ROUNDING = 1e-7

Measure = Callable[[Callable[[], Any]], float]


@dataclass(frozen=True)
class Computed:
    """Every loss and the last gradients, on the CPU in one row; the seconds of a batch forward and back; the most bytes
    that were reserved, 0 on a CPU.
    """

    numbers: torch.Tensor
    seconds: float
    reserved_bytes: int = 0

    def measure_distance(self, other: "Computed") -> float:
        """Measure how far off another is, as a share of this one's length; infinite where one is NaN."""
        off = (self.numbers - other.numbers).norm() / self.numbers.norm().clamp(min=1e-30)
        return float(torch.nan_to_num(off, nan=math.inf))


def try_graphs(
    family: Family[Any],
    rows: Sequence[Any],
    *,
    plain: Mapping[str, Any] = PLAIN,
    graphs: Mapping[str, Any] = GRAPHS,
    measure: Measure | None = None,
) -> Choice:
    """Try graphs on a batch of rows, and leave the blocks compiled as is chosen: `graphs` or `compile`.

    The adapter, its gradients and torch's generators are as before. Whatever the trial raises is a no.
    """
    measure = measure or partial(measure_batch, device=find_device(family))
    try:
        with keeping_state(family):
            family.compile_blocks(**plain)
            once, again = (compute_steps(family, rows, measure) for _ in range(2))
            start_anew(find_device(family))
            family.compile_blocks(**graphs)
            choice = judge(once, again, compute_steps(family, rows, measure))
    except Exception as error:  # noqa: BLE001 - whatever a compiler or a device raises that nobody tried it on
        choice = Choice("compile", f"their trial failed ({type(error).__name__}: {str(error)[:200]})")
    if choice.kernel != "graphs":
        start_anew(find_device(family))
        family.compile_blocks(**plain)
    return choice


def judge(once: Computed, again: Computed, graphed: Computed) -> Choice:
    """Judge what was computed without graphs, without them again, and with them. Pure."""
    itself, off = once.measure_distance(again), once.measure_distance(graphed)
    if not (math.isfinite(off) and off <= OFF_BAR * max(itself, ROUNDING)):
        return Choice(
            "compile", f"they are {off:.1e} of the answer's length off, which is {itself:.1e} off from itself"
        )
    if graphed.reserved_bytes > MEMORY_BAR * once.reserved_bytes:
        more = f"{graphed.reserved_bytes / 2**30:.2f} GiB against {once.reserved_bytes / 2**30:.2f}"
        return Choice("compile", f"they take {more}")
    gain = min(once.seconds, again.seconds) / graphed.seconds
    if gain < GAIN_BAR:
        return Choice("compile", f"they gain nothing: {gain:.2f} times as fast")
    return Choice("graphs", f"{gain:.2f} times as fast, and as near as the same without them")


def compute_steps(family: Family[Any], rows: Sequence[Any], measure: Measure) -> Computed:
    """Compute the steps from always the same numbers, then measure one batch of them."""
    trained, device = list_trained(family), find_device(family)
    forget_peak(device)
    family.model.train()
    draw_numbers(trained)
    torch.manual_seed(SEED)
    losses = [loss for _ in range(STEPS) for loss in _take_step(family, trained, rows)]
    gradients = [parameter.grad.float().flatten() for parameter in trained if parameter.grad is not None]
    numbers = torch.cat([torch.stack(losses), *gradients]).cpu()
    return Computed(numbers, measure(partial(_take_batch, family, rows)), read_reserved_bytes(device))


def _take_step(family: Family[Any], trained: Sequence[torch.nn.Parameter], rows: Sequence[Any]) -> list[torch.Tensor]:
    """Take a plain step down the gradient of some batches; returns their losses."""
    clear_gradients(trained)
    losses = [_take_batch(family, rows) for _ in range(BATCHES)]
    with torch.no_grad():
        for parameter in trained:
            if parameter.grad is not None:  # `clear_gradients` made each
                parameter.sub_(parameter.grad, alpha=RATE)
    return losses


def _take_batch(family: Family[Any], rows: Sequence[Any]) -> torch.Tensor:
    loss = family.compute_loss(family.collate(rows))
    loss.backward()
    return loss.detach().float().clone()


def choose_rows(rows: Sequence[Any], groups: Sequence[Any], batch_size: int) -> list[Any]:
    """Choose a batch of the group that most rows are of; fewer rows than a batch has come again."""
    largest, _ = Counter(groups).most_common(1)[0]
    members = [row for row, group in zip(rows, groups, strict=True) if group == largest]
    return [members[number % len(members)] for number in range(batch_size)]


def find_device(family: Family[Any]) -> torch.device:
    return next(family.model.parameters()).device


def list_trained(family: Family[Any]) -> list[torch.nn.Parameter]:
    return [parameter for parameter in family.model.parameters() if parameter.requires_grad]


def draw_numbers(trained: Sequence[torch.nn.Parameter]) -> None:
    """Give every matrix numbers, so that none of an adapter that is still zero has no gradient."""
    source = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in trained:
            parameter.copy_(torch.randn(parameter.shape, generator=source) / max(parameter.shape))


@contextmanager
def keeping_state(family: Family[Any]) -> Iterator[None]:
    """Bring back the adapter's numbers, torch's generators and the mode; gradients are none, as before a first step."""
    trained, was_training = list_trained(family), family.model.training
    kept = [parameter.detach().clone() for parameter in trained]
    device = find_device(family)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            family.model.train(was_training)
            with torch.no_grad():
                for parameter, numbers in zip(trained, kept, strict=True):
                    parameter.copy_(numbers)
                    parameter.grad = None


def start_anew(device: torch.device) -> None:
    """Forget what was compiled and recorded, and give its memory back."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    forget_peak(device)


def forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def read_reserved_bytes(device: torch.device) -> int:
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0


def measure_batch(act: Callable[[], Any], *, device: torch.device) -> float:
    """Measure the seconds of one batch: the mean of some, after one that is not counted."""
    act()
    _wait(device)
    began = time.monotonic()
    for _ in range(TIMED):
        act()
    _wait(device)
    return (time.monotonic() - began) / TIMED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
