"""Trying an adapter out: the same base model with and without it."""

from pathlib import Path

from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.errors import BadInput
from trainer.families.registry import get_family
from trainer.families.text.causal_lm import CausalLM
from trainer.formats.reading import load_adapter_any
from trainer.training.session import load_family


def draw(
    source: BaseModelSource, config: TrainingConfig, prompt: str, *, adapter: Path | None, seed: int, place: Path
) -> str:
    """Draw one picture into `place`.png, at the configuration's resolution; returns its name.

    Raises: BadInput, AdapterUnusable.
    """
    if get_family(source).is_text:
        raise BadInput("base_model", f"{source.name} writes text; use `trainer complete`")
    family = load_family(source, config)
    if adapter is None:
        family.attach_adapter(config)  # its second matrices are zero
    else:
        read = load_adapter_any(adapter)
        family.apply_adapter(read.config, read.tensors)
    family.model.eval()
    return family.sample(prompt, seed=seed, place=place)


def answer(source: BaseModelSource, prompt: str, *, adapter: Path | None, max_new_tokens: int) -> str:
    """Return the greedy answer to one prompt. Raises: BadInput, AdapterUnusable."""
    if not get_family(source).is_text:
        raise BadInput("base_model", f"{source.name} draws pictures; use `trainer draw`")
    family = load_family(source)
    assert isinstance(family, CausalLM)
    if adapter is not None:
        read = load_adapter_any(adapter)
        family.apply_adapter(read.config, read.tensors)
    return family.complete(prompt, max_new_tokens=max_new_tokens)
