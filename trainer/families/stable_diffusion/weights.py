"""Loading the components of a Stable Diffusion base model: from a diffusers folder or from one original-layout file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open

from trainer.base_models.diffusers_quiet import diffusers, transformers
from trainer.errors import BadInput
from trainer.families.stable_diffusion.configs import (
    PIPELINES,
    Config,
    Kind,
    NotThisArchitecture,
    derive_configs,
    get_config,
    recognise,
)
from trainer.families.stable_diffusion.layout import (
    CLIP_PREFIXES,
    COMPONENTS,
    is_vae_convolution,
    name_open_clip_key,
    name_unet_key,
    name_vae_key,
    with_text_model,
)

V_PREDICTION_KEY = "v_pred"  # an empty tensor that SDXL files carry to say so
WEIGHT_SUFFIX = ".safetensors"
SD2_WIDTH = 1024


@dataclass(frozen=True)
class BaseWeights:
    """A base model on disk. `scheduler` is its noise schedule's configuration, `prediction_type` in it."""

    path: Path
    kind: Kind
    configs: Mapping[str, Config]
    scheduler: Config

    @property
    def components(self) -> tuple[str, ...]:
        return COMPONENTS[self.kind]

    @property
    def text_encoders(self) -> tuple[str, ...]:
        return tuple(name for name in self.components if name.startswith("text_encoder"))

    @property
    def has_published_unet(self) -> bool:
        """Whether the UNet is that of the release, by every key that both configurations have (sizes are no matter)."""
        ours, published = self.configs["unet"], get_config(self.kind, "unet")
        common = {key for key in ours.keys() & published.keys() if not key.startswith("_")} - {"sample_size"}
        return all(ours[key] == published[key] for key in common)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Look at a base model without reading its weights. Raises: BadInput."""
        return cls(*(_open_folder(path) if path.is_dir() else _open_file(path)))

    def load(self, component: str) -> torch.nn.Module:
        """Load one component in fp32, frozen, in evaluation mode. Raises: BadInput."""
        try:
            model = self._load_from_folder(component) if self.path.is_dir() else self._load_from_file(component)
        except (OSError, ValueError, SafetensorError) as error:
            raise BadInput("base_model", f"{component} of {self.path} cannot be loaded: {error}") from error
        return model.requires_grad_(requires_grad=False).eval()

    def _load_from_folder(self, component: str) -> torch.nn.Module:
        folder = self.path / component
        options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
        if not any(file for file in folder.glob(f"*{WEIGHT_SUFFIX}") if ".fp16." not in file.name):
            options["variant"] = "fp16"
        if component.startswith("text_encoder"):
            text_model = getattr(transformers, self.configs[component]["architectures"][0])
            return text_model.from_pretrained(folder, dtype=torch.float32, **options)
        model = diffusers.UNet2DConditionModel if component == "unet" else diffusers.AutoencoderKL
        return model.from_pretrained(folder, torch_dtype=torch.float32, low_cpu_mem_usage=False, **options)

    def _load_from_file(self, component: str) -> torch.nn.Module:
        with torch.device("meta"):
            model = _build(component, self.configs[component])
        with safe_open(self.path, framework="pt") as file:
            tensors = _FileTensors(file)
            state = {name: self._read(tensors, component, name) for name in model.state_dict()}
        model.load_state_dict(state, assign=True)
        return _with_buffers(component, self.configs[component], model)

    def _read(self, tensors: "_FileTensors", component: str, name: str) -> torch.Tensor:
        if component == "text_encoder_2":
            return tensors.read_open_clip(with_text_model(name))
        if component == "unet":
            return tensors.read(name_unet_key(name, self.configs["unet"]))
        if component == "text_encoder":
            return tensors.read(CLIP_PREFIXES[self.kind] + with_text_model(name))
        key = name_vae_key(name, self.configs["vae"])
        tensor = tensors.read(key)
        return tensor[:, :, 0, 0] if is_vae_convolution(key, tensor.dim()) else tensor

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        return {}

    def fingerprint(self, component: str, model: torch.nn.Module) -> str:
        """Compute the SHA-256 of a component's weights, for the keys of the cache; folder and file of one model have
        the same.
        """
        if component not in self.fingerprints:
            self.fingerprints[component] = _hash_weights(model)
        return self.fingerprints[component]


class _FileTensors:
    """The tensors of an original-layout file in fp32, read one at a time."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, key: str) -> torch.Tensor:
        try:
            tensor: torch.Tensor = self._file.get_tensor(key)
        except SafetensorError as error:
            raise ValueError(f"{key} is missing; the file is incomplete, download it again") from error
        return tensor.float()

    def read_open_clip(self, name: str) -> torch.Tensor:
        for index, part in enumerate(("q_proj", "k_proj", "v_proj")):
            if f".self_attn.{part}." in name:
                layer, kind = name.split(f".self_attn.{part}.")
                whole = self.read(name_open_clip_key(f"{layer}.attn.in_proj_{kind}"))
                return whole.chunk(3)[index].clone()
        tensor = self.read(name_open_clip_key(name))
        return tensor.T.contiguous() if name == "text_projection.weight" else tensor


def _build(component: str, config: Config) -> torch.nn.Module:
    if component == "unet":
        return diffusers.UNet2DConditionModel.from_config(config)
    if component == "vae":
        return diffusers.AutoencoderKL.from_config(config)
    return getattr(transformers, config["architectures"][0])(transformers.CLIPTextConfig(**config))


def _with_buffers(component: str, config: Config, model: torch.nn.Module) -> torch.nn.Module:
    """Fill the buffers that no file holds (CLIP's position ids, still on the meta device) from a small twin."""
    if not component.startswith("text_encoder"):
        return model
    twin = _build(component, config | {"num_hidden_layers": 0})
    buffers = dict(twin.named_buffers())
    for name, _ in [(name, buffer) for name, buffer in model.named_buffers() if buffer.is_meta]:
        owner, _, leaf = name.rpartition(".")
        model.get_submodule(owner).register_buffer(leaf, buffers[name].clone(), persistent=False)
    return model


def _open_file(path: Path) -> tuple[Path, Kind, dict[str, Config], Config]:
    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in keys}
    except (OSError, SafetensorError) as error:
        raise BadInput("base_model", f"{path} is no .safetensors file that can be read ({error})") from error
    try:
        kind = recognise(shapes)
        configs = derive_configs(kind, shapes)
    except NotThisArchitecture as error:
        raise BadInput("base_model", f"{path} {error}") from error
    scheduler = get_config(kind, "scheduler")
    if V_PREDICTION_KEY in shapes:
        scheduler["prediction_type"] = "v_prediction"
    return path, kind, configs, scheduler


def _open_folder(path: Path) -> tuple[Path, Kind, dict[str, Config], Config]:
    pipeline = _read_json(path / "model_index.json").get("_class_name")
    kind = next((kind for kind, name in PIPELINES.items() if name == pipeline), None)
    if kind is None:
        known = " and ".join(PIPELINES.values())
        raise BadInput("base_model", f"{path} holds a {pipeline}; this trainer reads {known}")
    configs = {}
    for component in COMPONENTS[kind]:
        configs[component] = _read_json(path / component / "config.json")
        if not list((path / component).glob(f"*{WEIGHT_SUFFIX}")):
            cure = "a .bin is a pickle and is never loaded; save the model with safe_serialization=True"
            raise BadInput("base_model", f"{path / component} has no .safetensors file; {cure}")
    if kind == "sd15" and configs["unet"]["cross_attention_dim"] == SD2_WIDTH:
        raise BadInput("base_model", f"{path} is Stable Diffusion 2; this trainer reads SD 1.5 and SDXL")
    scheduler = get_config(kind, "scheduler") | _read_json(path / "scheduler" / "scheduler_config.json")
    return path, kind, configs, scheduler


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput("base_model", f"{path} cannot be read ({error}); is the folder complete?") from error


def _hash_weights(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
