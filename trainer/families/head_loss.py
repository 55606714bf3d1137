"""The loss behind the output layer, a few positions at a time: the logits of all of them never exist at once.

With 49,152 tokens in the vocabulary the logits of 512 positions, their log-softmax and their gradient are 300 MB. The
output layer is frozen, so the gradient of the hidden states can be taken at once, while a chunk's logits are at hand.
"""

from typing import Any

import torch
from torch.nn.functional import pad

from trainer.families.even_sizes import count_missing, cut_evenly
from trainer.families.frozen_product import multiply, multiply_back

# Positions at most: a short chunk reads the whole weight for little, a larger one leaves the cache.
CHUNK = 160
# What models do to their logits after the output layer, by the key of their configuration.
REWORKED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        missing = count_missing(len(targets))
        hidden, wanted = pad(hidden, (0, 0, 0, missing)), pad(targets, (0, missing))[:, None]
        wants_gradient = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wants_gradient else None
        for part in cut_evenly(len(hidden), CHUNK):
            scores = torch.log_softmax(multiply(hidden[part], weight).float(), dim=-1)
            total -= scores.gather(1, wanted[part])[: len(targets) - part.start].sum()
            if gradient is not None:
                scores.exp_().scatter_add_(1, wanted[part], scores.new_full((len(scores), 1), -1))
                gradient[part] = multiply_back(scores.to(weight.dtype), weight)
        ctx.gradient = gradient if gradient is None else gradient[: len(targets)]
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.gradient * gradients[0].to(ctx.gradient.dtype), None, None


def sum_head_loss(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed cross-entropy in nats, in fp32, differentiable by `hidden` only.

    Shapes: hidden [positions, width], weight [vocabulary, width] (frozen), targets [positions].
    """
    loss: torch.Tensor = _HeadLoss.apply(hidden, weight, targets)
    return loss


def find_plain_head(model: Any) -> torch.Tensor | None:
    """The weight of the output layer, where logits are the plain product of it: no bias, adapter or rework."""
    head = model.get_output_embeddings()
    is_plain = type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad
    reworks = any(getattr(model.config, key, None) not in {None, 1} for key in REWORKED_LOGITS)
    if not is_plain or reworks or not head.weight.is_floating_point():
        return None
    weight: torch.Tensor = head.weight
    return weight
