"""Trying a chosen kernel on a few random numbers before it trains: it must answer as its fall-back does."""

from collections.abc import Callable
from typing import Any

import torch

from trainer.log import write_line

TOLERANCE = 0.03  # of the largest number: 16 bit are off by less than a hundredth, another formula by far more


def passes_trial(name: str, chosen: Callable[[], Any], fall_back: Callable[[], Any]) -> bool:
    """Tell whether both give the same tensors; a kernel that fails in any way has not passed, and the log says why."""
    try:
        with torch.enable_grad():  # the first that asks may be a validation
            pairs = list(zip(_list_tensors(chosen()), _list_tensors(fall_back()), strict=True))
        errors = [compare(ours, theirs) for ours, theirs in pairs]
    except Exception as error:  # noqa: BLE001 - whatever a library of kernels raises on a GPU that it does not know
        write_line(f"{name} fails here ({type(error).__name__}: {error}); going on without it")
        return False
    if max(errors) <= TOLERANCE:
        return True
    write_line(f"{name} is {max(errors):.3f} of the largest number off here; going on without it")
    return False


def compare(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return the largest difference, as a share of the largest number; infinite where shapes differ or one is NaN."""
    if ours.shape != theirs.shape:
        return float("inf")
    difference = (ours.float() - theirs.float()).abs().max() / theirs.float().abs().max().clamp(min=1e-30)
    return float(torch.nan_to_num(difference, nan=float("inf")))


def _list_tensors(answer: Any) -> list[torch.Tensor]:
    return list(answer) if isinstance(answer, tuple | list) else [answer]
