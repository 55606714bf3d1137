"""Names of models as foreign clients send them, and what they stand for here: base models and adapters. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pricing.catalog.spellings import fold_spelling

ADAPTER_MARK = "ft:"
SUFFIX_LABEL = "model.suffix"  # how a job tells the suffix of its model's name
MADE = re.compile(r"(?:^|-)(ada_[0-9a-z]{1,40})$")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# What other services put behind the name of a model for an edition of theirs: the weights are those of the model.
EDITION = re.compile(r"-(?:reference|turbo|lite|free|instruct|chat|base|it|latest|\d{4}-\d{2}-\d{2})$", re.IGNORECASE)


def name_adapter(adapter: Mapping[str, Any]) -> str:
    """Name a model that was trained: its base model, customer and suffix, and its adapter."""
    return _write(adapter["base_model"], adapter, adapter["id"])


def name_made(job: Mapping[str, Any], step: int | None = None) -> str:
    """Name what a job has made, or its checkpoint after a step."""
    name = _write(job["config"]["base_model"], job, job["adapter_id"] or job["id"])
    return name if step is None else f"{name}:ckpt-step-{step}"


def _write(base_model: str, made: Mapping[str, Any], last: str) -> str:
    return f"{ADAPTER_MARK}{base_model}:{made['customer_id']}:{made['labels'].get(SUFFIX_LABEL, '')}:{last}"


def name_file_of(job: Mapping[str, Any]) -> str:
    """Name what a job has made where the name becomes that of a file, which on some systems has no colon."""
    suffix = job["labels"].get(SUFFIX_LABEL)
    words = (job["config"]["base_model"], suffix, job["adapter_id"] or job["id"])
    return "-".join(UNSAFE.sub("-", word) for word in words if word)


def find_adapter_id(model: str) -> str | None:
    """Find the adapter that the name of a model ends in; None for the name of a base model."""
    if model.startswith(ADAPTER_MARK):
        return model.rpartition(":")[2]
    ending = MADE.search(model)
    return None if ending is None else ending[1]


def find_base_model(model: str, known: Iterable[Mapping[str, Any]]) -> str | None:
    """Find the base model that is meant by the name it has elsewhere; None where none is.

    Services leave out who made a model, or say which edition of it they run: `qwen2.5-7b-instruct` and
    `Qwen/Qwen2.5-7B-Instruct-Turbo` are Qwen's model that the catalogue calls `qwen2.5-7b`.
    """
    names = dict[str, str]()
    for each in known:
        for spelling in (*each["aliases"], each["name"]):
            names[fold_spelling(spelling)] = each["name"]
            names.setdefault(fold_spelling(spelling.rpartition("/")[2]), each["name"])
    spelling = model
    while spelling:
        for wanted in (spelling, spelling.rpartition("/")[2]):
            if (found := names.get(fold_spelling(wanted))) is not None:
                return found
        shorter = EDITION.sub("", spelling)
        spelling = "" if shorter == spelling else shorter
    return None
