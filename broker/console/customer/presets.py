"""Settings to begin with, by what a person wants: each sets few keys of a job's configuration. Pure.

Ranks, dropout and numbers of samples are those of the usual advice: rank 8 for pictures, 8 to 16 for language, dropout
of 0.1 on small data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.console.frame.menu import N_

# What a job that is run again begins with: a preset would change what it left as it is by default.
NO_PRESET = "none"


@dataclass(frozen=True)
class Preset:
    """A named beginning, for data sets of text or of pictures."""

    name: str
    label: str
    is_text: bool
    config: Mapping[str, Any]


PRESETS = (
    Preset("balanced", N_("Balanced"), True, {"epochs": 3, "lora_rank": 8, "validation_split": 0.1}),
    Preset("quick", N_("Quick try"), True, {"epochs": 1, "lora_rank": 8}),
    Preset(
        "small",
        N_("Small data"),
        True,
        {"epochs": 6, "lora_rank": 8, "lora_dropout": 0.1, "validation_split": 0.1},
    ),
    Preset("thorough", N_("Thorough"), True, {"epochs": 5, "lora_rank": 16, "lora_alpha": 32, "validation_split": 0.1}),
    Preset("style", N_("One style"), False, {"epochs": 10, "lora_rank": 8, "batch_size": 4}),
    Preset("quick", N_("Quick try"), False, {"epochs": 3, "lora_rank": 4, "batch_size": 4}),
    Preset("small", N_("Small data"), False, {"epochs": 8, "lora_rank": 8, "lora_dropout": 0.1, "flip": True}),
    Preset("strong", N_("Strong style"), False, {"epochs": 15, "lora_rank": 16, "lora_alpha": 32}),
    Preset(NO_PRESET, N_("As the trainer does it by itself"), True, {}),
    Preset(NO_PRESET, N_("As the trainer does it by itself"), False, {}),
)


def list_presets(*, is_text: bool) -> list[Preset]:
    """List the presets for one kind of data, the usual one first."""
    return [preset for preset in PRESETS if preset.is_text == is_text]


def find_preset(name: str, *, is_text: bool) -> Preset:
    """Find a preset by its name; one that this kind of data does not have is its usual one."""
    own = list_presets(is_text=is_text)
    return next((preset for preset in own if preset.name == name), own[0])
