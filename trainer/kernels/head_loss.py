"""The loss behind the output layer, a few tokens of the vocabulary at a time: all logits never exist at once.

With 49,152 tokens the logits of 512 positions, their softmax and its gradient are 300 MB. The output layer is frozen,
so the gradient of the hidden states can be taken while a part's logits, and its weights, are still in the cache: each
weight is read from memory once. The softmax over all tokens is the mean of the parts' own, each weighted by its share
in the sum of exponentials.

Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax".
"""

from typing import Any

import torch
from torch.nn.functional import pad

from trainer.kernels.even_sizes import count_missing
from trainer.kernels.frozen_product import multiply, multiply_back

LOGITS = 2**21  # at once, of all positions: 8 MB stay in the cache, and twice as many cost no more
LEAST_PART = 4096  # tokens: of more than 512 positions smaller parts would go over the gradient too often
# What models do to their logits after the output layer, by the key of their configuration.
REWORKED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        positions, missing = len(targets), count_missing(len(targets))
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


def sum_head_loss(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum the cross-entropy in nats, in fp32, differentiable by `hidden` only.

    Shapes: hidden [positions, width], weight [vocabulary, width] (frozen), targets [positions].
    """
    loss: torch.Tensor = _HeadLoss.apply(hidden, weight, targets)
    return loss


def find_plain_head(model: Any) -> torch.Tensor | None:
    """Find the weight of the output layer, where logits are the plain product of it: no bias, adapter or rework."""
    head = model.get_output_embeddings()
    is_plain = type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad
    reworks = any(getattr(model.config, key, None) not in {None, 1} for key in REWORKED_LOGITS)
    if not is_plain or reworks or not head.weight.is_floating_point():
        return None
    weight: torch.Tensor = head.weight
    return weight
