"""Making the profiles that ship, from the configurations in catalogue.yaml."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pricing.catalog.profile import BaseModelProfile, Family, ModuleShape, PackagedWeights
from pricing.datasets.text_format import TextFormat
from pricing.unique_yaml import load_yaml
from trainer.families.stable_diffusion.configs import Kind, get_config
from trainer.families.stable_diffusion.layout import COMPONENTS
from trainer.profiles.image_profile import Components, describe_image_model
from trainer.profiles.network import Modules, count_parameters
from trainer.profiles.text_network import build_text_network, build_whole, read_text_config
from trainer.profiles.text_profile import describe_text_network

SHAPES = {"config", "names", "whole", "components", "shipped_components"}


class CatalogueEntry(BaseModel):
    """What the architecture does not say of a base model, and where that is: see the head of catalogue.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    aliases: tuple[str, ...]
    same_shape: tuple[str, ...] = ()
    family: Family
    licence: str
    bytes_per_parameter: int = 2
    resolution: int | None = None
    default_target_modules: tuple[str, ...]
    tokenizer: str | None = None
    text_format: TextFormat | None = None
    weights: PackagedWeights | None = None
    source: str
    config: dict[str, Any] | None = None
    names: dict[str, tuple[str, ...]] = {}
    whole: dict[str, Any] | None = None
    components: dict[str, dict[str, Any]] | None = None
    shipped_components: Kind | None = None


@cache
def load_entries() -> dict[str, CatalogueEntry]:
    text = (files("trainer.profiles") / "catalogue.yaml").read_text(encoding="utf-8")
    entries = TypeAdapter(list[CatalogueEntry]).validate_python(load_yaml(text))
    return {entry.name: entry for entry in entries}


def make_profile(entry: CatalogueEntry) -> BaseModelProfile:
    """Make the profile of an entry. Raises: NotAPolynomial."""
    told = entry.model_dump(exclude=SHAPES)
    return BaseModelProfile(**(told | _describe(entry)))


def _describe(entry: CatalogueEntry) -> dict[str, Any]:
    if entry.config is None:
        return describe_image_model(get_components(entry), entry.family, entry.default_target_modules)
    targets = [layer for target in entry.default_target_modules for layer in entry.names.get(target, (target,))]
    network = build_text_network(read_text_config(entry.config))
    described = describe_text_network(network, targets)
    if entry.whole is not None:
        whole = build_whole({**entry.whole, "text_config": entry.config})
        described["component_parameters"] = {"vision": count_parameters(whole) - network.count_parameters()}
    return described | {"modules": rename_modules(described["modules"], entry.names)}


def get_components(entry: CatalogueEntry) -> Components:
    if entry.shipped_components is not None:
        return {name: get_config(entry.shipped_components, name) for name in COMPONENTS[entry.shipped_components]}
    return entry.components or {}


def rename_modules(modules: Modules, names: Mapping[str, Sequence[str]]) -> Modules:
    """Return the modules under other names; several layers under one name are one that has all their outputs."""
    if not names:
        return modules
    return {name: (_fuse([modules[layer][0] for layer in layers]),) for name, layers in names.items()}


def _fuse(shapes: Sequence[ModuleShape]) -> ModuleShape:
    return shapes[0].model_copy(update={"out_features": sum(shape.out_features for shape in shapes)})
