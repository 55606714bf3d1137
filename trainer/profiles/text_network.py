"""A causal language model on the meta device."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from trainer.base_models.model_type import CHATGLM_ORIGINAL
from trainer.base_models.transformers_quiet import transformers
from trainer.families.chatglm.layout import map_config
from trainer.profiles.attention import MEASURED
from trainer.profiles.network import Network

SIZES = (128, 256, 512, 1024)  # tokens; three make the polynomials, the last checks them


def build_text_network(config: Any, sizes: Sequence[int] = SIZES) -> Network:
    """Build the model in 16 bit, frozen, in training mode, without weights. No code of a model folder is run."""
    model = _build(config).requires_grad_(requires_grad=False).train()
    decoder = model.get_decoder()

    def run(tokens: int) -> torch.Tensor:
        ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
        # A mask of four dimensions is taken as it is; with another transformers asks for values, and there are none.
        mask = torch.zeros(1, 1, tokens, tokens, dtype=torch.bool, device="meta")
        hidden: torch.Tensor = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        return hidden

    return Network(model, run, sizes, model.get_output_embeddings())


def build_whole(config: Mapping[str, Any]) -> Any:
    """Build a model that sees and writes, of which a language model is a part, without weights."""
    with torch.device("meta"):
        return transformers.AutoModelForImageTextToText.from_config(transformers.AutoConfig.for_model(**config))


def _build(config: Any) -> Any:
    build = partial(transformers.AutoModelForCausalLM.from_config, config, dtype=torch.bfloat16)
    with torch.device("meta"):
        try:
            return build(attn_implementation=MEASURED)
        except KeyError:  # older classes have a table of their own; torch's attention is the measured one as well
            return build(attn_implementation="sdpa")


def read_text_config(config: Mapping[str, Any]) -> Any:
    """Read the configuration of the transformers class, or of the one that the original layout of ChatGLM is mapped
    onto.
    """
    if config["model_type"] == CHATGLM_ORIGINAL:
        return transformers.GlmConfig(**map_config(config))
    return transformers.AutoConfig.for_model(**config)
