"""A causal language model on the meta device."""

from typing import Any

import torch

from trainer.families.transformers_quiet import transformers
from trainer.profiles.attention import MEASURED
from trainer.profiles.network import Network

SIZES = (128, 256, 512, 1024)


def build_text_network(config: Any, told_apart: frozenset[str] = frozenset()) -> Network:
    """The model in 16 bit, frozen, in training mode, without weights. No code of a model folder is run."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation=MEASURED
        )
    model.requires_grad_(requires_grad=False).train()
    decoder = model.get_decoder()

    def run(tokens: int) -> torch.Tensor:
        ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
        # A mask of four dimensions is taken as it is; with another transformers asks for values, and there are none.
        mask = torch.zeros(1, 1, tokens, tokens, dtype=torch.bool, device="meta")
        hidden: torch.Tensor = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        return hidden

    return Network(model, run, SIZES, model.get_output_embeddings(), told_apart)
