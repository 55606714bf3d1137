"""The course of the learning rate: a pure function of the step, so that no scheduler has a state to save."""

import math

from pricing.training.config import TrainingConfig


def compute_learning_rate(config: TrainingConfig, step: int, total_steps: int) -> float:
    """Compute the rate of `step` (from 0): a linear warm-up to the peak, then constant, or down to 0 at the end.

    A schedule-free optimizer does its own averaging and wants a constant rate (Defazio et al. 2024).
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    done = (step - config.warmup_steps) / max(total_steps - config.warmup_steps, 1)
    match "constant" if config.optimizer == "schedule-free" else config.lr_scheduler:
        case "constant":
            return config.learning_rate
        case "linear":
            return config.learning_rate * (1 - done)
        case _:  # cosine
            return config.learning_rate * (1 + math.cos(math.pi * done)) / 2
