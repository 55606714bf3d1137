"""What a client orders, written as an order of the REST API. Pure.

`hyper_parameters` says it all: the names that DashScope has, keys of the training configuration, and fields of
`POST /v1/jobs`, such as `max_cost`.
"""

from collections.abc import Mapping
from typing import Any

from broker.facades.model_names import SUFFIX_LABEL
from broker.facades.orders import ORDER_FIELDS, SHORT_NAMES, bound_cost, is_number, read_object, read_text, refuse

FIELDS = frozenset(
    {"model", "training_file_ids", "validation_file_ids", "training_type", "hyper_parameters"}
    | {"model_name", "finetuned_output", "finetuned_output_suffix", "job_name"}
)
TRAINS = "efficient_sft"
NAMES = {"n_epochs": "epochs", "lr_scheduler_type": "lr_scheduler", **SHORT_NAMES}
NUMBERS = frozenset({"learning_rate", "lora_dropout", "split", "validation_split"})  # which come as texts, too
# What DashScope takes and no training here can honour, with the cure.
REFUSED = {
    "warmup_ratio": "is not taken: say warmup_steps",
    "weight_decay": "is not taken: trainings here have none",
    "eval_steps": "is not taken: validation rows are measured after every epoch",
    "save_strategy": "is not taken: checkpoints are saved each save_steps",
    "save_total_limit": "is not taken: checkpoints are kept as the house's rules say",
}


def read_order(body: Mapping[str, Any], *, default_max_cost: str | None) -> dict[str, Any]:
    """Read the body of `POST /v1/jobs` off that of a fine-tuning job. Raises: Refused.

    Without a quote or a `hyper_parameters.max_cost` the job may cost what the key allows it to (`default_max_cost`, in
    yuan).
    """
    for name in body:
        if name not in FIELDS:
            raise refuse(
                name,
                "is no field of a fine-tuning job; what the broker takes besides goes into hyper_parameters",
            )
    chosen = read_object(body, "hyper_parameters")
    order = {name: value for name, value in chosen.items() if name in ORDER_FIELDS}
    bound_cost(order, default_max_cost, "hyper_parameters.max_cost")
    order["dataset_id"] = _read_file(body)
    _require_method(body)
    order["config"] = {**_read_config(chosen), "base_model": read_text(body, "model")}
    order |= _read_names(body)
    return order


def _read_file(body: Mapping[str, Any]) -> str:
    found = body.get("training_file_ids")
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], str):
        raise refuse(
            "training_file_ids", "must be one id: a training reads one data set, so upload its files as one zip"
        )
    if body.get("validation_file_ids"):
        raise refuse("validation_file_ids", "is not taken: hold out a share of the data by hyper_parameters.split")
    return found[0]


def _require_method(body: Mapping[str, Any]) -> None:
    """Require that it is LoRA which is asked for: it is all that is trained here. Raises: Refused."""
    method = body.get("training_type")
    if method not in (None, TRAINS):
        raise refuse("training_type", "is not trained here: efficient_sft is")


def _read_config(chosen: Mapping[str, Any]) -> dict[str, Any]:
    config = dict[str, Any]()
    for name, value in chosen.items():
        if name in REFUSED:
            raise refuse(f"hyper_parameters.{name}", REFUSED[name])
        if name not in ORDER_FIELDS and value is not None:
            config[NAMES.get(name, name)] = _read_number(name, value) if name in NUMBERS else value
    if "split" in config:
        share = config.pop("split")
        if not is_number(share) or not 0.5 <= share <= 1:
            raise refuse("hyper_parameters.split", "must be the share that is trained on, from 0.5 to 1")
        config["validation_split"] = round(1 - share, 6)
    return config


def _read_number(name: str, value: Any) -> Any:
    """Read a number that may be written as a text, `1.6e-5`. Raises: Refused."""
    if not isinstance(value, str):
        return value
    try:
        read = float(value)
    except ValueError:
        read = float("nan")
    if not is_number(read):
        raise refuse(f"hyper_parameters.{name}", "must be a number")
    return read


def _read_names(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the name of the model that is made: each generation of clients has a word of its own for it."""
    given = [name for name in ("model_name", "finetuned_output", "finetuned_output_suffix") if body.get(name)]
    suffix = read_text(body, given[0]) if given else None
    name = read_text(body, "job_name") if body.get("job_name") else suffix
    order: dict[str, Any] = {"labels": {} if suffix is None else {SUFFIX_LABEL: suffix}}
    return order if name is None else {**order, "name": name}
