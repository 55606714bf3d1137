"""The catalogue: rate cards, GPU types, base models, tokenizers and fitted constants, as files of this package.

Owns the files and the shapes of two of them (`gpu`, `profile`); `rate_card` and `resources` read theirs through
`CATALOG`. Broker and trainer look up GPU types and base models here, by any spelling.
Invariants: profiles and GPU types are read once, name their source, and share no spelling; a published rate card
never changes. `make profiles` writes the base models, `make bench-estimator ARGS=--write` the constants.
May never: hold what one installation has learnt or owns, or need torch or a network to be read.
"""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from pydantic import TypeAdapter

from pricing.catalog.gpu import GpuProfile
from pricing.catalog.near_names import suggest_owner
from pricing.catalog.profile import BaseModelProfile
from pricing.catalog.spellings import fold_card, fold_spelling
from pricing.unique_yaml import load_shipped_yaml

CATALOG: Traversable = files("pricing.catalog")


class UnknownBaseModel(LookupError):
    """The base model is not in the catalogue. `known` says whose each spelling is; all are named where none is near."""

    def __init__(self, name: str, known: Mapping[str, str]) -> None:
        self.name = name
        near = suggest_owner(name, known) or suggest_owner(name.rpartition("/")[2], known)
        told = near.strip() or f"known base models: {', '.join(sorted(set(known.values())))}"
        super().__init__(f"{name!r} is not in the catalogue; {told}")


class UnknownGpu(LookupError):
    """The GPU type is not in the catalogue. `known` says whose each spelling is; all are named where none is near."""

    def __init__(self, sku: str, known: Mapping[str, str]) -> None:
        self.sku = sku
        told = suggest_owner(sku, known).strip() or f"known GPU types: {', '.join(sorted(set(known.values())))}"
        super().__init__(f"{sku!r} is not in the catalogue; {told}")


@cache
def load_base_models() -> dict[str, BaseModelProfile]:
    folder = CATALOG / "base_models"
    profiles = [
        BaseModelProfile.model_validate_json(entry.read_text(encoding="utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".json")
    ]
    return {profile.name: profile for profile in profiles}


@cache
def _index_base_models() -> dict[str, BaseModelProfile]:
    return {
        fold_spelling(spelling): profile
        for profile in load_base_models().values()
        for spelling in (*profile.aliases, profile.name)
    }


def find_base_model(name: str) -> BaseModelProfile | None:
    """Find a profile by name or alias, however its words are joined; None where the catalogue has none."""
    return _index_base_models().get(fold_spelling(name))


def get_base_model(name: str) -> BaseModelProfile:
    """Get a profile by name or alias, however its words are joined. Raises: UnknownBaseModel."""
    profile = find_base_model(name)
    if profile is None:
        raise UnknownBaseModel(name, list_spellings_of_models())
    return profile


def list_spellings_of_models() -> dict[str, str]:
    """List every spelling of a base model, and the name of the one that it means."""
    profiles = load_base_models().values()
    return {spelling: profile.name for profile in profiles for spelling in (*profile.aliases, profile.name)}


@cache
def _index_same_shapes() -> dict[str, BaseModelProfile]:
    return {
        fold_spelling(spelling): profile for profile in load_base_models().values() for spelling in profile.same_shape
    }


def find_same_shape(name: str) -> BaseModelProfile | None:
    """Find the profile of the shape that a further model has, which is none of the catalogue; None where none is."""
    return _index_same_shapes().get(fold_spelling(name))


@cache
def load_gpus() -> dict[str, GpuProfile]:
    text = (CATALOG / "gpus.yaml").read_text(encoding="utf-8")
    profiles = TypeAdapter(list[GpuProfile]).validate_python(load_shipped_yaml(text))
    return {profile.sku: profile for profile in profiles}


@cache
def _index_gpus() -> dict[str, GpuProfile]:
    return {fold_card(spelling): gpu for gpu in load_gpus().values() for spelling in (*gpu.aliases, gpu.name, gpu.sku)}


def list_offered_skus(available: Collection[str]) -> list[str]:
    """List the SKUs that a job is offered on: every type but those for estimates only, of which what pools have."""
    return [sku for sku, gpu in load_gpus().items() if not gpu.estimate_only or sku in available]


def find_gpu(sku: str) -> GpuProfile | None:
    """Find a GPU type by SKU, name or alias, however its words are joined; None where the catalogue has none."""
    return _index_gpus().get(fold_card(sku))


def get_gpu(sku: str) -> GpuProfile:
    """Get a GPU type by SKU, name or alias, however its words are joined. Raises: UnknownGpu."""
    gpu = find_gpu(sku)
    if gpu is None:
        gpus = load_gpus().values()
        raise UnknownGpu(sku, {spelling: known.sku for known in gpus for spelling in (*known.aliases, known.sku)})
    return gpu


class NoTokenizer(LookupError):
    """The tokenizer of a base model is not in the catalogue: its tokens cannot be counted."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"no tokenizer of {name} is installed, so the tokens of a data set cannot be counted and it cannot be "
            "quoted; estimate it with `broker estimator predict`, or take a model whose tokenizer is installed: "
            + ", ".join(sorted(model.name for model in load_base_models().values() if model.tokenizer)),
        )


def read_tokenizer(profile: BaseModelProfile) -> bytes:
    """Read the gzip-compressed `tokenizer.json` of a base model. Raises: NoTokenizer."""
    if profile.tokenizer is None or profile.has_added_tokenizer:
        raise NoTokenizer(profile.name)
    return (CATALOG / "tokenizers" / profile.tokenizer).read_bytes()
