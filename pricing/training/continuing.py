"""Going on from an adapter that there is: what of a configuration must be as it was, for its weights to fit. Pure.

Source: the trainer's own check of the file (`trainer/training/warm_start.py`), told before anything is paid for.
"""

import re

from pricing.catalog.profile import BaseModelProfile
from pricing.field_problem import FieldProblem
from pricing.training.adapter_parameters import UnknownTargetModules, name_target_modules
from pricing.training.config import TrainingConfig

ADAPTER_ID = re.compile(r"ada_[0-9a-z]{1,40}")
NO_ADAPTER_ID = "must be the id of an adapter that a job has made, such as ada_01k; files of a machine are not taken"


def is_adapter_id(text: str) -> bool:
    """Tell whether a text is written as ids of adapters are."""
    return ADAPTER_ID.fullmatch(text) is not None


def list_misfits(theirs: TrainingConfig, ours: TrainingConfig, profile: BaseModelProfile) -> list[FieldProblem]:
    """List what must be set otherwise to go on from the adapter of `theirs`; `profile` is of our base model."""
    if theirs.base_model != ours.base_model:
        told = f"the adapter was trained on {theirs.base_model}; set base_model: {theirs.base_model}"
        return [FieldProblem("base_model", told)]
    found = list[FieldProblem]()
    if theirs.lora_rank != ours.lora_rank:
        found.append(FieldProblem("lora_rank", f"the adapter's rank is {theirs.lora_rank}; set it to that"))
    if theirs.variant != ours.variant:
        found.append(FieldProblem("variant", f"the adapter is of kind {theirs.variant}; set it to that"))
    if theirs.train_text_encoder != ours.train_text_encoder:
        with_it = "with" if theirs.train_text_encoder else "without"
        found.append(FieldProblem("train_text_encoder", f"the adapter was trained {with_it} the text encoders"))
    try:
        modules, wanted = name_target_modules(profile, theirs), name_target_modules(profile, ours)
    except UnknownTargetModules:
        return found  # of ours it is told anyway
    if modules != wanted:
        named = ", ".join(theirs.target_modules or profile.default_target_modules)
        found.append(FieldProblem("target_modules", f"the adapter's modules are {named}; set these"))
    return found
