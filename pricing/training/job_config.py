"""A configuration that a job may train with: valid by itself, and for a base model that is on offer."""

from collections.abc import Mapping
from typing import Any

from pricing.catalog.offered import SHIPPED, ModelNotOffered, OfferedModels
from pricing.catalog.profile import BaseModelProfile
from pricing.field_problem import FieldProblem
from pricing.training.adapter_parameters import UnknownTargetModules, name_target_modules
from pricing.training.beside_config import explain_job_key
from pricing.training.config import JOB_PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import MOST_TOLD, ConfigInvalid, parse_training_config
from pricing.training.continuing import NO_ADAPTER_ID, is_adapter_id
from pricing.training.family_keys import find_foreign_keys

NO_PATHS = "leave it out: a job takes its data from dataset_id and keeps its own output folder"


def parse_job_config(
    raw: Mapping[str, Any], offered: OfferedModels = SHIPPED
) -> tuple[TrainingConfig, BaseModelProfile]:
    """Read a configuration that names no path of a machine, and the profile of its base model among those on offer.

    Raises: ConfigInvalid, with one FieldProblem for each wrong key and its cure.
    """
    config = _parse(raw)
    paths = sorted(JOB_PATH_KEYS & raw.keys())
    if paths:
        raise ConfigInvalid([FieldProblem(key, NO_PATHS) for key in paths])
    if config.init_from is not None and not is_adapter_id(config.init_from):
        raise ConfigInvalid([FieldProblem("init_from", NO_ADAPTER_ID)])
    try:
        profile = offered.get(config.base_model)
    except ModelNotOffered as error:
        raise ConfigInvalid([FieldProblem("base_model", str(error))]) from error
    problems = _list_misfits(config, profile)
    if problems:
        raise ConfigInvalid(problems)
    return config, profile


def _parse(raw: Mapping[str, Any]) -> TrainingConfig:
    """Read what a configuration has of its own; what belongs beside it is told of together with all else."""
    misplaced = {key: cure for key in raw if (cure := explain_job_key(key))}
    if not misplaced:
        return parse_training_config(raw)
    problems = [FieldProblem(key, f"unknown key; {cure}") for key, cure in [*misplaced.items()][:MOST_TOLD]]
    try:
        parse_training_config({key: value for key, value in raw.items() if key not in misplaced})
    except ConfigInvalid as error:
        problems += error.problems
    raise ConfigInvalid(problems)


def _list_misfits(config: TrainingConfig, profile: BaseModelProfile) -> list[FieldProblem]:
    """List the keys that do not fit the base model, all at once."""
    found: list[FieldProblem] = []
    try:
        name_target_modules(profile, config)
    except UnknownTargetModules as error:
        found.append(FieldProblem("target_modules", str(error)))
    foreign = find_foreign_keys(config, profile.name, is_text=profile.is_text)
    found += [FieldProblem(key, reason) for key, reason in foreign.items()]
    if profile.is_text and config.max_length > profile.context_length:
        found.append(FieldProblem("max_length", f"{profile.name} reads at most {profile.context_length} tokens"))
    return found
