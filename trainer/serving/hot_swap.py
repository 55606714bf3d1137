"""Adapters side by side on one base model, of which one is in use: switching touches no base weight."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
        config = peft.PeftConfig.from_peft_type(**{"peft_type": "LORA", **adapter.config, "inference_mode": True})
        try:
            with _quiet():
                if self._is_wrapped:
                    self.model.add_adapter(slot, config, low_cpu_mem_usage=True)
                else:
                    self.model = peft.get_peft_model(self.model, config, adapter_name=slot)
                result = peft.set_peft_model_state_dict(
                    self.model, adapter.tensors, adapter_name=slot, low_cpu_mem_usage=True
                )
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            self.remove(slot)
            raise AdapterUnusable(f"the adapter does not fit this base model ({str(error).splitlines()[0]})") from error
        if result.unexpected_keys:
            self.remove(slot)
            raise AdapterUnusable(f"the adapter is of another base model: there is no {result.unexpected_keys[0]}")

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


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence peft's remarks on missing keys and renamed settings; what matters of them is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
