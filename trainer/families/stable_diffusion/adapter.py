"""The adapters on the components of a Stable Diffusion model, and their names in one file.

UNet weights carry no component's name (`base_model.model.down_blocks.0…`), so that plain peft puts the file on a UNet;
those of a text encoder do (`base_model.model.text_encoder.text_model.encoder…`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch

from pricing.training.config import ALL_LINEAR, TrainingConfig
from trainer.base_models.peft_adapter import describe_adapter, put_adapter_on
from trainer.base_models.transformers_quiet import peft
from trainer.errors import BadInput
from trainer.families.stable_diffusion.layout import with_text_model
from trainer.kernels.choice import choose_layout
from trainer.kernels.narrow_adapter import use_narrow_adapters
from trainer.machine.accelerator import describe_accelerator

UNET_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")
PREFIX = "base_model.model."
SHOWN_MODULES = 20


class ComponentAdapters:
    """Components of the model with an adapter on each, by name: unet, text_encoder, text_encoder_2."""

    def __init__(self, components: dict[str, Any], targets: Sequence[str]) -> None:
        self.components, self._targets = components, targets
        self.model = torch.nn.ModuleDict(components)
        self.memory_format = torch.contiguous_format

    @classmethod
    def attach(
        cls,
        components: Mapping[str, torch.nn.Module],
        config: TrainingConfig,
        default_targets: Sequence[str] | None = None,
    ) -> Self:
        """Put fresh matrices on the target modules of each component. Raises: BadInput."""
        wanted = config.target_modules
        if wanted is None:
            text = TEXT_TARGETS if len(components) > 1 else ()
            wanted = (*(default_targets or UNET_TARGETS), *text)
        _check_targets(components, wanted)
        targets = {name: _targets_of(component, wanted) for name, component in components.items()}
        adapted = {
            name: put_adapter_on(component, describe_adapter(config, targets[name], None))
            for name, component in components.items()
        }
        # peft would read all-linear in its own way: the layers' names are one thing to everybody.
        resolved = {layer for layers in targets.values() for layer in layers}
        return cls(adapted, sorted(resolved if ALL_LINEAR in wanted else wanted))

    @classmethod
    def rebuild(cls, components: Mapping[str, torch.nn.Module], described: Mapping[str, Mapping[str, Any]]) -> Self:
        """Put the matrices of a finished adapter on each component, every layer with its rank and alpha there.

        `described` is peft's configuration for each component. Raises: BadInput.
        """
        adapted = {}
        for name, component in components.items():
            # A component has no name of its own: peft would warn that the base, which is the pipeline's, is another.
            told = {**described[name], "inference_mode": False, "base_model_name_or_path": None}
            config = peft.PeftConfig.from_peft_type(**{"peft_type": "LORA", **told})
            _check_targets({name: component}, sorted(config.target_modules))
            adapted[name] = put_adapter_on(component, config)
        return cls(adapted, sorted({target for config in described.values() for target in config["target_modules"]}))

    def move(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the frozen base to the device in `dtype`, laid out as its convolutions are read; the adapter stays in
        fp32, whatever it multiplies in.
        """
        for name, parameter in self.model.named_parameters():
            parameter.data = parameter.data.to(device, torch.float32 if is_of_adapter(name) else dtype)
        self.model.to(device)
        self.memory_format = choose_memory_format(device, dtype)
        self.components["unet"].to(memory_format=self.memory_format)
        use_narrow_adapters(self.model, device, dtype)

    def save_memory(self) -> None:
        """Compute activations twice instead of keeping them."""
        for name, component in self.components.items():
            base = component.get_base_model()
            if name == "unet":
                base.enable_gradient_checkpointing()
            else:  # transformers 5.2x has another name for it
                enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
                enable()

    def read_tensors(self) -> dict[str, torch.Tensor]:
        tensors = {}
        for component, model in self.components.items():
            for name, tensor in peft.get_peft_model_state_dict(model, save_embedding_layers=False).items():
                tensors[_name_outside(component, name)] = tensor.detach().contiguous().cpu()
        return tensors

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put tensors back. Raises: BadInput, if they are not of this model, rank and targets."""
        if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in self.read_tensors().items()}:
            raise BadInput("base_model", "the adapter was made for another base model, rank or target_modules")
        for component, model in self.components.items():
            names = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
            peft.set_peft_model_state_dict(model, {name: tensors[_name_outside(component, name)] for name in names})

    def describe(self) -> dict[str, Any]:
        """Return peft's configuration of the UNet's adapter; the target modules are those of every component."""
        described = self.components["unet"].peft_config["default"].to_dict()
        described["target_modules"] = list(self._targets)
        described["inference_mode"] = True
        described["peft_type"] = described["peft_type"].value  # a plain word, as it stands in files
        return dict(described)


def choose_memory_format(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """Choose how the UNet's convolutions and what goes into them lie in memory."""
    chosen = choose_layout(describe_accelerator(device), dtype)
    return torch.channels_last if chosen.kernel == "channels_last" else torch.contiguous_format


def is_of_adapter(name: str) -> bool:
    return "lora_" in name or "lokr_" in name


def _name_outside(component: str, name: str) -> str:
    if component == "unet":
        return name
    return f"{PREFIX}{component}.{with_text_model(name.removeprefix(PREFIX))}"


def _check_targets(components: Mapping[str, torch.nn.Module], wanted: Sequence[str]) -> None:
    if ALL_LINEAR in wanted:
        return
    layers = [name for component in components.values() for name in _list_layers(component)]
    for target in wanted:
        if not any(_matches(name, target) for name in layers):
            known = sorted({_shorten(name) for name in layers})[:SHOWN_MODULES]
            raise BadInput("target_modules", f"{target!r} matches no layer; this model has {', '.join(known)}")


def _targets_of(component: torch.nn.Module, wanted: Sequence[str]) -> list[str]:
    layers = _list_layers(component, with_convolutions=ALL_LINEAR not in wanted)
    found = [name for name in layers if ALL_LINEAR in wanted or any(_matches(name, target) for target in wanted)]
    if not found:
        raise BadInput("target_modules", f"{', '.join(wanted)} match nothing in a {type(component).__name__}")
    return found


def _list_layers(component: torch.nn.Module, *, with_convolutions: bool = True) -> list[str]:
    kinds = (torch.nn.Linear, torch.nn.Conv2d) if with_convolutions else torch.nn.Linear
    return [name for name, module in component.named_modules() if isinstance(module, kinds)]


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _shorten(name: str) -> str:
    """Shorten a layer's path to its last word; `to_out.0` keeps its number."""
    head, _, last = name.rpartition(".")
    return f"{head.rpartition('.')[2]}.{last}" if last.isdigit() else last
