"""`trainer profile`: what a model's shape is and what a sample costs to train on, from its configuration alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from pricing.catalog.profile import BaseModelProfile
from trainer.errors import BadInput
from trainer.profiles.catalogue import load_entries, make_profile
from trainer.profiles.curves import NotAPolynomial
from trainer.profiles.described_model import describe_model
from trainer.profiles.image_folder import profile_image_folder
from trainer.profiles.profile_file import format_profile
from trainer.profiles.text_folder import profile_text_folder
from trainer.tracing.traced_profile import trace_entry, trace_model

CONFIG_FILE = "config.json"


def profile_model(model: Path, name: str | None, *, trace: bool = False) -> str:
    """Profile a model folder (text or diffusers) or a config.json, as JSON. No weight is read, no code of it is run.

    `trace` adds what a step of ours needs in memory, which takes minutes.
    Raises: BadInput.
    """
    folder = model.parent if model.name == CONFIG_FILE else model
    with telling_what_cannot_be_built():
        profile = _profile_folder(folder, name or folder.resolve().name)
        return format_profile(trace_model(profile, folder) if trace else profile)


def describe_for_broker(model: Path, name: str | None, *, trace: bool = False) -> str:
    """Describe a model folder or file for `broker models add`, as JSON. Its weights are read once, for their hash.

    `trace` as of `profile_model`.
    Raises: BadInput.
    """
    with telling_what_cannot_be_built():
        own_name = model.resolve().name if model.is_dir() else model.stem
        described = describe_model(model, name or own_name)
        if trace:
            described = described.model_copy(update={"profile": trace_model(described.profile, model)})
        return described.model_dump_json(exclude_defaults=True)


@contextmanager
def telling_what_cannot_be_built() -> Iterator[None]:
    """Turn what libraries raise for a model that they do not know into one message. Raises: BadInput."""
    try:
        yield
    except NotAPolynomial as error:
        raise BadInput("model", f"does not cost what a transformer costs: {error}") from error
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BadInput(
            "model",
            f"cannot be built without its weights ({reason}). No code of a model folder is run, so only architectures "
            "of the installed transformers and diffusers have profiles",
        ) from error


def _profile_folder(folder: Path, name: str) -> BaseModelProfile:
    if (folder / "model_index.json").is_file():
        return profile_image_folder(folder, name)
    if not (folder / CONFIG_FILE).is_file():
        raise BadInput(
            "model", "has no config.json or model_index.json; give a model folder, or the config.json of one"
        )
    if "_class_name" in json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")):
        raise BadInput(
            "model", "is one component of an image model; give the folder above, which holds model_index.json"
        )
    return profile_text_folder(folder, name)


def profile_catalogue(folder: Path, console: Console) -> None:
    """Write the profile of every base model that ships. Takes minutes."""
    for name, entry in load_entries().items():
        file = folder / f"{name}.json"
        file.write_text(format_profile(trace_entry(make_profile(entry), entry)), encoding="utf-8")
        console.print(f"written: {file}")
