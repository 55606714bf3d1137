"""Adapters side by side on one base model, of which one is in use: switching touches no base weight."""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from trainer.base_models.transformers_quiet import peft
from trainer.errors import AdapterUnusable
from trainer.formats.adapter import Adapter


class HotSwap:
    """One model (a language model, or one component of a pipeline) and the adapters in its slots."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._is_off = False

    @property
    def _is_wrapped(self) -> bool:
        return isinstance(self.model, peft.PeftModel)

    def can_take(self, adapter: Adapter) -> bool:
        """Tell whether peft can keep this adapter beside the others: LoRA with all its variants, or LoKr, not both."""
        if not self._is_wrapped:
            return True
        return all(
            kind.peft_type == adapter.config.get("peft_type", "LORA") for kind in self.model.peft_config.values()
        )

    def add(self, slot: str, adapter: Adapter) -> None:
        """Put an adapter into a new slot, not yet in use. Raises: AdapterUnusable, and the model is as before."""
        try:
            with _quiet():
                self._put_on(slot, adapter)
        except AdapterUnusable:
            self.remove(slot)
            raise
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
            self.remove(slot)
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise AdapterUnusable(f"the adapter does not fit this base model ({reason})") from error

    def _put_on(self, slot: str, adapter: Adapter) -> None:
        refuse_endless_scale(adapter.config)
        config = peft.PeftConfig.from_peft_type(**{"peft_type": "LORA", **adapter.config, "inference_mode": True})
        if self._is_wrapped:
            self.model.add_adapter(slot, config, low_cpu_mem_usage=True)
        else:
            self.model = peft.get_peft_model(self.model, config, adapter_name=slot)
        wanted = peft.get_peft_model_state_dict(self.model, adapter_name=slot, save_embedding_layers=False)
        refuse_other_tensors(
            adapter.tensors, wanted
        )  # peft would leave out what is too many, and what is missing unset
        peft.set_peft_model_state_dict(self.model, adapter.tensors, adapter_name=slot, low_cpu_mem_usage=True)

    def use(self, slot: str | None) -> None:
        """Compute with this adapter from now on; None is the bare base model."""
        if not self._is_wrapped:
            return
        if slot is None:
            self.model.base_model.disable_adapter_layers()
            self._is_off = True
            return
        if self._is_off:  # walks all layers, and takes longer than the switch itself
            self.model.base_model.enable_adapter_layers()
            self._is_off = False
        self.model.set_adapter(slot, inference_mode=True)

    def remove(self, slot: str) -> None:
        if not self._is_wrapped or slot not in self.model.peft_config:
            return
        if len(self.model.peft_config) == 1:
            self.clear()
        else:
            with _quiet():
                self.model.delete_adapter(slot)

    def clear(self) -> None:
        """Take every adapter off."""
        if self._is_wrapped:
            self.model, self._is_off = self.model.unload(), False


def refuse_endless_scale(config: Mapping[str, Any]) -> None:
    """Refuse an alpha that is NaN or infinite, as JSON can hold it: all answers were NaN. Raises: AdapterUnusable."""
    alphas = [config.get("lora_alpha"), config.get("alpha"), *(config.get("alpha_pattern") or {}).values()]
    endless = next((each for each in alphas if isinstance(each, float) and not math.isfinite(each)), None)
    if endless is not None:
        raise AdapterUnusable(f"the alpha in its adapter_config is {endless:g}; write the one that it was trained with")


def refuse_other_tensors(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuse an adapter that has not exactly the tensors that its configuration makes on this base model.

    Raises: AdapterUnusable, naming the first tensor that is missing, too many, of another shape or of whole numbers.
    """
    if missing := wanted.keys() - found.keys():
        raise AdapterUnusable(
            f"the adapter's file lacks {len(missing)} of {len(wanted)} tensors, the first being {min(missing)}: it is "
            "damaged, or its adapter_config is another's"
        )
    if unexpected := found.keys() - wanted.keys():
        raise AdapterUnusable(f"the adapter is of another base model: there is no {min(unexpected)}")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise AdapterUnusable(
                f"the adapter is of another base model: {name} has shape {list(found[name].shape)} in the file, and "
                f"{list(tensor.shape)} on this model"
            )
        if not found[name].is_floating_point():
            kind = str(found[name].dtype).removeprefix("torch.")
            raise AdapterUnusable(f"{name} is {kind} in the file, no floats; write it as it was trained")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence peft's remarks on missing keys and settings by new names; what matters of them is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
