"""What a client orders, written as an order of the REST API. Pure.

`hyperparameters` and `method.supervised` say what OpenAI's clients can say; `lora`, sent by `extra_body`, says the
rest: fields of `POST /v1/jobs`, and every other name is a key of the training configuration.
"""

from collections.abc import Mapping
from typing import Any

from broker.facades.model_names import SUFFIX_LABEL
from broker.facades.orders import (
    ORDER_FIELDS,
    SHORT_NAMES,
    bound_cost,
    is_number,
    read_object,
    read_text,
    refuse,
)
from pricing.training.config import TrainingConfig

FIELDS = frozenset({"model", "training_file", "suffix", "seed", "metadata", "hyperparameters", "method", "lora"})
# What the clients may send and nothing here can honour, with the cure.
REFUSED = {
    "validation_file": "is not taken: hold out a share of the data by lora.validation_split",
    "integrations": "is not taken: nothing of a job is sent to other services",
}
LONGEST_SUFFIX = 64
AUTO = "auto"


def read_order(body: Mapping[str, Any], *, default_max_cost: str | None) -> dict[str, Any]:
    """Read the body of `POST /v1/jobs` off that of a fine-tuning job. Raises: Refused.

    Without a quote or a `lora.max_cost` the job may cost what the key allows it to (`default_max_cost`, in yuan).
    """
    _refuse_unread(body)
    extra = read_object(body, "lora")
    order = {name: value for name, value in extra.items() if name in ORDER_FIELDS}
    bound_cost(order, default_max_cost, "lora.max_cost")
    order["dataset_id"] = read_text(body, "training_file")
    order["config"] = _read_config(body, extra)
    order["labels"] = _read_labels(body)
    if body.get("suffix") is not None:
        order.setdefault("name", read_text(body, "suffix"))
    return order


def _refuse_unread(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in REFUSED and value not in (None, []):
            raise refuse(name, REFUSED[name])
        if name not in FIELDS and name not in REFUSED:
            raise refuse(name, "is no field of a fine-tuning job; what the broker takes besides goes into lora")


def _read_config(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    config = {SHORT_NAMES.get(name, name): value for name, value in extra.items() if name not in ORDER_FIELDS}
    config["base_model"] = read_text(body, "model")
    if body.get("seed") is not None:
        config["seed"] = body["seed"]
    chosen = _read_hyperparameters(body)
    for theirs, ours in (("n_epochs", "epochs"), ("batch_size", "batch_size")):
        if chosen.get(theirs, AUTO) not in (AUTO, None):
            config[ours] = chosen[theirs]
    multiplier = chosen.get("learning_rate_multiplier", AUTO)
    if multiplier not in (AUTO, None):
        if not is_number(multiplier):
            raise refuse("hyperparameters.learning_rate_multiplier", "must be a number within reason, or auto")
        usual = config.get("learning_rate", TrainingConfig.model_fields["learning_rate"].default)
        if not is_number(usual):
            raise refuse("lora.learning_rate", "must be a number")
        config["learning_rate"] = float(usual) * float(multiplier)
    return config


def _read_hyperparameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read them where the clients put them today, `method.supervised`, or where they did before."""
    method = read_object(body, "method")
    kind = method.get("type", "supervised")
    if kind != "supervised":
        raise refuse("method.type", f"{kind!r} is not trained here: supervised is")
    chosen = read_object(read_object(method, "supervised", "method."), "hyperparameters", "method.supervised.")
    return {**read_object(body, "hyperparameters"), **chosen}


def _read_labels(body: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in read_object(body, "metadata").items() if name != SUFFIX_LABEL}
    suffix = body.get("suffix")
    if suffix is not None and (not isinstance(suffix, str) or not 1 <= len(suffix) <= LONGEST_SUFFIX):
        raise refuse("suffix", f"must be a text of 1 to {LONGEST_SUFFIX} characters")
    return {**told, **({} if suffix is None else {SUFFIX_LABEL: suffix})}
