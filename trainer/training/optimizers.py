"""The optimizers by the names of the configuration, each from a maintained package that is imported when it is asked
for.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import torch

from pricing.training.config import TrainingConfig
from trainer.errors import BadInput

LEAST_PRODIGY_RATE = 0.05
Parameters = list[torch.nn.Parameter]


def create_optimizer(config: TrainingConfig, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Create the optimizer over these parameters, at the peak learning rate, without weight decay.

    Raises: BadInput, with the command that installs what is missing.
    """
    return _MAKERS[config.optimizer](list(parameters), config.learning_rate)


def advise_on_rate(config: TrainingConfig) -> str | None:
    """Advise on a learning rate that was meant for another optimizer."""
    if config.optimizer != "prodigy" or config.learning_rate >= LEAST_PRODIGY_RATE:
        return None
    return (
        f"learning_rate: {config.learning_rate} makes prodigy's steps that much smaller than those it finds, which is "
        "next to nothing; leave the key out (1.0), or take optimizer: adamw"
    )


def use_training_weights(optimizer: torch.optim.Optimizer) -> None:
    """Switch to the weights that are trained: a schedule-free optimizer is judged by others; all others have one set.

    Source: Defazio et al. 2024, "The Road Less Scheduled"; README of `schedulefree`.
    """
    if hasattr(optimizer, "train"):
        optimizer.train()


def use_final_weights(optimizer: torch.optim.Optimizer) -> None:
    """Put the weights in place that samples, validation and the finished adapter are made with."""
    if hasattr(optimizer, "eval"):
        optimizer.eval()


def _adamw(parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
    """Create AdamW, with one pass over each matrix where torch has it: an adapter's matrices are many and small."""
    is_fused = {parameter.device.type for parameter in parameters} <= {"cpu", "cuda"}
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0, fused=is_fused)


def _adafactor(parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adafactor(parameters, lr=learning_rate, weight_decay=0.0)


def _adamw8bit(parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
    if not torch.cuda.is_available():
        raise BadInput("optimizer", "adamw8bit needs a GPU; set optimizer: adamw, whose state is small for a LoRA")
    return _import("bitsandbytes", "bitsandbytes").optim.AdamW8bit(parameters, lr=learning_rate, weight_decay=0.0)


def _lion(parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
    return _import("lion_pytorch", "lion-pytorch").Lion(parameters, lr=learning_rate, weight_decay=0.0)


def _prodigy(parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
    return _import("prodigyopt", "prodigyopt").Prodigy(parameters, lr=learning_rate, weight_decay=0.0)


def _schedule_free(parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
    return _import("schedulefree", "schedulefree").AdamWScheduleFree(parameters, lr=learning_rate, weight_decay=0.0)


_MAKERS: dict[str, Callable[[Parameters, float], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adamw8bit": _adamw8bit,
    "lion": _lion,
    "prodigy": _prodigy,
    "adafactor": _adafactor,
    "schedule-free": _schedule_free,
}


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadInput("optimizer", f"the package {package} is not installed; run `pip install {package}`") from error
