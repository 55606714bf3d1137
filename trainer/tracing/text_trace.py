"""A causal language model of our trainer on the meta device: the family, its adapter and a batch, without weights."""

from functools import partial
from typing import Any

import torch

from pricing.datasets.text_rows import EncodedRow
from pricing.training.config import TrainingConfig
from trainer.base_models.transformers_quiet import transformers
from trainer.families.text.causal_lm import CausalLM
from trainer.tracing.memory_trace import TracedStep
from trainer.tracing.storage_tape import META


def prepare_text(
    network: Any,
    config: TrainingConfig,
    dtype: torch.dtype,
    *,
    samples: int,
    length: int,
    checkpointing: bool,
    device: str = META,
) -> TracedStep:
    """Prepare a step of `samples` rows of `length` tokens. `network`: the configuration of the transformers class.

    All tokens but the first of a row carry loss: a prompt would only need less.
    """
    build = partial(transformers.AutoModelForCausalLM.from_config, network, dtype=dtype)
    with torch.device(device):
        model = build(attn_implementation="sdpa").requires_grad_(requires_grad=False)
    family = CausalLM(model, None, torch.device(device))  # type: ignore[arg-type]  # nothing is tokenized here
    family.attach_adapter(config)
    if checkpointing:
        family.recompute_activations()
    rows = [EncodedRow([row % 2, *range(1, length)], prompt_length=1) for row in range(samples)]
    batch = family.collate(rows)
    tensors = [value for value in vars(batch).values() if isinstance(value, torch.Tensor)]
    return TracedStep(family, config, batch, tensors, chosen=len(batch.targets))
