"""The loss behind the output layer, without ever holding all logits at once.

On a CPU a few tokens of the vocabulary at a time. With 49,152 tokens the logits of 512 positions, their softmax and its
gradient are 300 MB. The output layer is frozen, so the gradient of the hidden states can be taken while a part's
logits, and its weights, are still in the cache: each weight is read from memory once. The softmax over all tokens is
the mean of the parts' own, each weighted by its share in the sum of exponentials. On a GPU, which wants few and large
products, a part of the positions at a time, by `liger-kernel` where it is installed.

Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax".
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.nn.functional import linear, pad

from trainer.kernels.choice import choose_head_loss
from trainer.kernels.even_sizes import count_missing
from trainer.kernels.frozen_product import multiply, multiply_back
from trainer.kernels.trial import passes_trial
from trainer.log import write_line
from trainer.machine.accelerator import Accelerator, describe_accelerator

LOGITS = 2**21  # at once, of all positions: 8 MB stay in the cache, and twice as many cost no more
LEAST_PART = 4096  # tokens: of more than 512 positions smaller parts would go over the gradient too often
LOGITS_ON_A_GPU = 2**25  # at once: 128 MB in 32 bit, and of 128,000 tokens still 256 positions to a product
TRIAL_POSITIONS, TRIAL_WIDTH, TRIAL_VOCABULARY = 40, 64, 300
SumLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# What models do to their logits after the output layer, by the key of their configuration.
REWORKED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        positions, missing = len(targets), count_missing(len(targets), hidden.device)
        states, wanted = pad(hidden, (0, 0, 0, missing)), pad(targets, (0, missing))[:, None]
        log_sum = torch.full(wanted.shape, -torch.inf, device=hidden.device)
        of_target = torch.zeros_like(log_sum)
        mean = torch.zeros(states.shape, device=hidden.device)  # of the weight's rows, by the softmax
        size, first = max(LEAST_PART, LOGITS // max(len(states), 1)), 0
        for part in weight.chunk(-(-len(weight) // size)):
            scores = multiply(states, part).float()
            place = wanted - first
            first += len(part)
            is_here = (place >= 0) & (place < len(part))
            of_target = torch.where(is_here, scores.gather(1, place.clamp(0, len(part) - 1)), of_target)
            highest = scores.amax(dim=1, keepdim=True)
            torch.softmax(scores, dim=1, out=scores)
            log_sum_here = highest - scores.amax(dim=1, keepdim=True).log_()
            before, log_sum = log_sum, torch.logaddexp(log_sum, log_sum_here)
            if ctx.needs_input_grad[0]:
                mean_here = multiply_back(scores.to(weight.dtype), part).float()
                mean.mul_((before - log_sum).exp_()).addcmul_(mean_here, (log_sum_here - log_sum).exp_())
        if ctx.needs_input_grad[0]:
            ctx.gradient = (mean[:positions] - weight[targets]).to(hidden.dtype)
        return (log_sum - of_target)[:positions].sum()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.gradient * gradients[0].to(ctx.gradient.dtype), None, None


class _HeadLossByPositions(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        size = max(LOGITS_ON_A_GPU // len(weight), 1)
        total = torch.zeros((), device=hidden.device)
        ctx.gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), size):
            states, wanted = hidden[start : start + size], targets[start : start + size, None]
            scores = linear(states, weight).float()
            log_sum = scores.logsumexp(dim=1, keepdim=True)
            total += (log_sum - scores.gather(1, wanted)).sum()
            if ctx.gradient is not None:
                of_all = scores.sub_(log_sum).exp_()
                of_all.scatter_(1, wanted, of_all.gather(1, wanted) - 1)
                torch.mm(of_all.to(weight.dtype), weight, out=ctx.gradient[start : start + size])
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.gradient * gradients[0].to(ctx.gradient.dtype), None, None


def sum_head_loss(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum the cross-entropy in nats, in fp32, differentiable by `hidden` only.

    Shapes: hidden [positions, width], weight [vocabulary, width] (frozen), targets [positions].
    """
    sum_loss = _find_way(hidden.device, hidden.dtype, describe_accelerator(hidden.device))
    return sum_loss(hidden, weight, targets)


def sum_by_vocabulary(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    loss: torch.Tensor = _HeadLoss.apply(hidden, weight, targets)
    return loss


def sum_by_positions(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    loss: torch.Tensor = _HeadLossByPositions.apply(hidden, weight, targets)
    return loss


def sum_by_liger(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if not len(targets):  # a kernel has no grid of nought
        return sum_by_positions(hidden, weight, targets)
    functional = importlib.import_module("liger_kernel.transformers.functional")
    loss: torch.Tensor = functional.liger_fused_linear_cross_entropy(hidden, weight, targets, reduction="sum")
    return loss.float()


WAYS: dict[str, SumLoss] = {
    "vocabulary": sum_by_vocabulary,
    "positions": sum_by_positions,
    "liger": sum_by_liger,
}


@cache
def _find_way(device: torch.device, dtype: torch.dtype, at: Accelerator) -> SumLoss:
    """Find the way of this device, tried beside torch's own products where it is not ours."""
    is_there = device.type == "cuda" and importlib.util.find_spec("liger_kernel") is not None
    choice = choose_head_loss(at, has_liger=is_there)
    if choice.kernel == "liger" and not _agrees_with_ours(device, dtype):
        return sum_by_positions
    if device.type == "cuda":
        write_line(f"loss: {choice.reason}")
    return WAYS[choice.kernel]


def _agrees_with_ours(device: torch.device, dtype: torch.dtype) -> bool:
    source = torch.Generator().manual_seed(0)
    hidden = torch.randn(TRIAL_POSITIONS, TRIAL_WIDTH, generator=source).to(device, dtype).requires_grad_()
    weight = torch.randn(TRIAL_VOCABULARY, TRIAL_WIDTH, generator=source).to(device, dtype)
    targets = torch.randint(TRIAL_VOCABULARY, (TRIAL_POSITIONS,), generator=source).to(device)

    def differentiate(sum_loss: SumLoss) -> list[torch.Tensor]:
        loss = sum_loss(hidden, weight, targets)
        return [loss, *torch.autograd.grad(loss, hidden)]

    return passes_trial(
        "liger-kernel's loss", lambda: differentiate(sum_by_liger), lambda: differentiate(sum_by_positions)
    )


def find_plain_head(model: Any) -> torch.Tensor | None:
    """Find the weight of the output layer, where logits are the plain product of it: no bias, adapter or rework."""
    head = model.get_output_embeddings()
    is_plain = type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad
    reworks = any(getattr(model.config, key, None) not in {None, 1} for key in REWORKED_LOGITS)
    if not is_plain or reworks or not head.weight.is_floating_point():
        return None
    weight: torch.Tensor = head.weight
    return weight
