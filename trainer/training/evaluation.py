"""Evaluating a run: the loss of held-out rows, samples, and when to speak of overfitting."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from trainer.families.family import Family
from trainer.training.optimizer_step import cut_into_batches, telling_out_of_memory
from trainer.training.optimizers import use_final_weights, use_training_weights
from trainer.training.state import capture_generators, restore_generators

CLEAR_RISE = 1.05


@contextmanager
def evaluating(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Switch to final weights, no dropout, no gradients; afterwards training goes on as if nobody had looked."""
    generators = capture_generators()
    use_final_weights(optimizer)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train()
        use_training_weights(optimizer)
        restore_generators(*generators)


def measure_loss(family: Family[Any], examples: Sequence[Any], *, batch_size: int) -> float:
    """Measure the mean loss over all loss tokens (or pictures) of the examples, in nats."""
    losses, weights = [], []
    with telling_out_of_memory("validation"):
        for chunk in cut_into_batches(examples, batch_size):
            batch = family.collate(chunk)
            losses.append(family.compute_loss(batch))
            weights.append(batch.weight)
        read = torch.stack(losses).tolist() if losses else []  # once, at the end: each reading waits for the GPU
    return sum(loss * weight for loss, weight in zip(read, weights, strict=True)) / max(sum(weights), 1.0)


def find_overfitting(losses: Sequence[float]) -> str | None:
    """Tell from the validation losses, oldest first, whether the run overfits: the loss clearly rises, or goes on
    rising.

    Clear is 5 % above the best so far; on is twice in a row. Our choice: a single small rise is noise.
    Source: MISSION, "Advice when things go wrong".
    """
    if len(losses) < 2 or not all(math.isfinite(loss) for loss in losses):
        return None
    is_clear = losses[-1] > CLEAR_RISE * min(losses[:-1])
    goes_on = len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]
    if not (is_clear or goes_on):
        return None
    best = min(losses)
    return (
        f"overfitting: the validation loss rises ({losses[-1]:.4f}, best {best:.4f} after epoch "
        f"{losses.index(best) + 1}); train fewer epochs, set lora_dropout: 0.1, or add regularisation data"
    )
