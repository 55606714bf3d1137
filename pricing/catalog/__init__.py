"""The catalogue: rate cards, GPU types and base models, as files of this package, read once."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pricing.estimate.text_format import TextFormat

CATALOG: Traversable = files("pricing.catalog")


class UnknownBaseModel(LookupError):
    """The base model is not in the catalogue."""

    def __init__(self, name: str, known: list[str]) -> None:
        self.name, self.known = name, known
        super().__init__(f"{name!r} is not in the catalogue; known base models: {', '.join(known)}")


class UnknownGpu(LookupError):
    """The GPU type is not in the catalogue."""

    def __init__(self, sku: str, known: list[str]) -> None:
        self.sku, self.known = sku, known
        super().__init__(f"{sku!r} is not in the catalogue; known GPU types: {', '.join(known)}")


class GpuProfile(BaseModel):
    """Facts of a GPU type. Units: memory in GiB; effective_teraflops is 10¹² FLOP/s that training reaches."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sku: str
    name: str
    memory_gib: float = Field(gt=0)
    effective_teraflops: float = Field(gt=0)
    source: str


class PackagedWeights(BaseModel):
    """Where a worker finds the weights: a file inside an installed Python package."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    package: str
    file: str


class BaseModelProfile(BaseModel):
    """Facts of a base model that pricing and the broker need, so that neither has to load it.

    Units: parameters and widths are counts; `modules` maps a target module to [input width, output width], one such
    module in each layer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    family: Literal["causal_lm"]
    licence: str
    parameters: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=0)
    attention_heads: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    context_length: int = Field(gt=0)
    bytes_per_parameter: int = Field(gt=0)
    modules: dict[str, tuple[int, int]]
    default_target_modules: tuple[str, ...]
    tokenizer: str
    text_format: TextFormat
    weights: PackagedWeights | None = None


@cache
def load_base_models() -> dict[str, BaseModelProfile]:
    folder = CATALOG / "base_models"
    profiles = [
        BaseModelProfile.model_validate_json(entry.read_text(encoding="utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".json")
    ]
    return {profile.name: profile for profile in profiles}


def get_base_model(name: str) -> BaseModelProfile:
    """Raises: UnknownBaseModel."""
    models = load_base_models()
    if name not in models:
        raise UnknownBaseModel(name, sorted(models))
    return models[name]


@cache
def load_gpus() -> dict[str, GpuProfile]:
    text = (CATALOG / "gpus.yaml").read_text(encoding="utf-8")
    profiles = TypeAdapter(list[GpuProfile]).validate_python(yaml.safe_load(text))
    return {profile.sku: profile for profile in profiles}


def get_gpu(sku: str) -> GpuProfile:
    """Raises: UnknownGpu."""
    gpus = load_gpus()
    if sku not in gpus:
        raise UnknownGpu(sku, sorted(gpus))
    return gpus[sku]


def read_tokenizer(profile: BaseModelProfile) -> bytes:
    """The gzip-compressed `tokenizer.json` of a base model."""
    return (CATALOG / "tokenizers" / profile.tokenizer).read_bytes()
