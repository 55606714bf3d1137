"""Which family a base model belongs to."""

from typing import Any

from trainer.base_models.config import BaseModelSource
from trainer.base_models.model_type import is_chatglm


def get_family_class(source: BaseModelSource) -> Any:
    """The class that loads this base model; its module, and what that brings, is imported now."""
    if source.is_stable_diffusion:
        from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion  # noqa: PLC0415 - brings diffusers

        return StableDiffusion
    if is_chatglm(source.weights):
        from trainer.families.chatglm.chatglm import ChatGLM  # noqa: PLC0415

        return ChatGLM
    from trainer.families.text.causal_lm import CausalLM  # noqa: PLC0415

    return CausalLM
