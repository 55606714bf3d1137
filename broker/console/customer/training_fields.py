"""The keys of a job's configuration as fields of a form: those that its base model has a use for, in groups. Pure.

What a key may be is read off the configuration's own model (`pricing/training/config.py`), so that a key that comes
there is missing here for as long as its test fails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from broker.console.frame.menu import N_
from pricing.training.config import PATH_KEYS, TrainingConfig
from pricing.training.family_keys import OF_IMAGES, OF_TEXT

PREFIX = "config."
# A list is written with one entry on a line.
LISTS = frozenset({"target_modules", "sample_prompts"})
GROUPS: Mapping[str, Mapping[str, str]] = {
    N_("Adapter"): {
        "variant": N_("Kind of adapter"),
        "lora_rank": N_("Rank"),
        "lora_alpha": N_("Alpha"),
        "lora_dropout": N_("Dropout"),
        "target_modules": N_("Target modules, one a line"),
        "train_text_encoder": N_("Train the text encoders, too"),
    },
    N_("Steps"): {
        "epochs": N_("Epochs"),
        "max_steps": N_("Most steps"),
        "batch_size": N_("Batch size"),
        "gradient_accumulation": N_("Batches in a step"),
        "learning_rate": N_("Learning rate"),
        "optimizer": N_("Optimizer"),
        "lr_scheduler": N_("Course of the learning rate"),
        "warmup_steps": N_("Warm-up steps"),
    },
    N_("Memory"): {
        "precision": N_("Precision"),
        "quantization": N_("Quantization of the base"),
        "gradient_checkpointing": N_("Compute activations twice"),
        "packing": N_("Pack rows instead of padding"),
        "max_length": N_("Longest row in tokens"),
        "resolution": N_("Resolution in pixels"),
        "auto_fit": N_("Try smaller when memory runs out"),
    },
    N_("Data"): {
        "skip_bad_rows": N_("Leave out what cannot be used"),
        "max_bad_share": N_("Share that may be left out"),
        "validation_split": N_("Share held out"),
        "default_caption": N_("Caption where there is none"),
        "aspect_buckets": N_("Keep the shape of pictures"),
        "flip": N_("Mirror at random"),
        "caption_dropout": N_("Share of captions left empty"),
        "prior_loss_weight": N_("Weight of regularisation"),
    },
    N_("Noise"): {
        "noise_offset": N_("Noise offset"),
        "min_snr_gamma": N_("Min-SNR gamma"),
        "prediction_type": N_("Prediction"),
        "clip_skip": N_("CLIP layer from the end"),
    },
    N_("Saving"): {
        "save_steps": N_("Steps between checkpoints"),
        "sample_prompts": N_("Prompts to sample, one a line"),
        "seed": N_("Seed"),
    },
}


@dataclass(frozen=True)
class TrainingField:
    """A key as a field: `options` are all that it may be, None where it is written; `hint` says default and range."""

    key: str
    label: str
    options: Sequence[str] | None
    default: str
    hint: str
    is_list: bool = False

    @property
    def name(self) -> str:
        return PREFIX + self.key


@dataclass(frozen=True)
class FieldGroup:
    """Fields that stand together under a heading."""

    heading: str
    fields: Sequence[TrainingField]


def list_groups(*, is_text: bool) -> list[FieldGroup]:
    """List the fields that a base model of this kind has a use for, in groups that have any."""
    foreign = (OF_IMAGES if is_text else OF_TEXT) | PATH_KEYS
    groups = [
        FieldGroup(heading, [_make_field(key, label) for key, label in labels.items() if key not in foreign])
        for heading, labels in GROUPS.items()
    ]
    return [group for group in groups if group.fields]


def _make_field(key: str, label: str) -> TrainingField:
    info = TrainingConfig.model_fields[key]
    default = write_value(info.default)
    return TrainingField(key, label, _list_options(info), default, _describe_range(info), key in LISTS)


def _list_options(info: FieldInfo) -> list[str] | None:
    kinds = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    if info.annotation is bool:
        kinds = (False, True)
    return [write_value(each) for each in kinds] or None


def _describe_range(info: FieldInfo) -> str:
    """Describe how small and how large a number may be: `1–1024`."""
    bounds = {
        name: getattr(each, name) for each in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)
    }
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    return "" if low is None or high is None or isinstance(info.default, tuple) else f"{low}–{high}"


def write_value(value: Any) -> str:
    """Write a value as its field shows it: a list with one entry on a line, none as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def write_config(config: Mapping[str, Any]) -> dict[str, str]:
    """Write a configuration as the values of its fields; keys that are as they are by default are left out."""
    fields = TrainingConfig.model_fields
    return {
        PREFIX + key: write_value(value)
        for key, value in config.items()
        if key in fields and key not in PATH_KEYS and key != "base_model"
        if write_value(value) != write_value(fields[key].default)
    }


def read_config(values: Mapping[str, str], *, is_text: bool) -> dict[str, Any]:
    """Read the keys that a form sets: those that are filled in, also just as they are by default.

    A preset or a template may have them otherwise, and what is written wins over those. What cannot be read as its
    kind is handed on as it is written: the API says what is wrong with it.
    """
    config: dict[str, Any] = {}
    for group in list_groups(is_text=is_text):
        for each in group.fields:
            text = values.get(each.name, "").strip().replace("\r\n", "\n")
            if text:
                config[each.key] = _read_value(each, text)
    return config


def _read_value(field: TrainingField, text: str) -> Any:
    if field.is_list:
        return [line.strip() for line in text.split("\n") if line.strip()]
    if text in {"true", "false"}:
        return text == "true"
    annotation = TrainingConfig.model_fields[field.key].annotation
    kinds = {each for each in get_args(annotation) or (annotation,) if each is not NoneType}
    for kind in (int, float):
        if kind in kinds:
            try:
                number = kind(text)
            except ValueError:
                return text
            return number if isfinite(number) else text
    return text
