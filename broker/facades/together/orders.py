"""What a client orders, written as an order of the REST API. Pure."""

from collections.abc import Mapping
from typing import Any

from broker.facades.model_names import SUFFIX_LABEL
from broker.facades.orders import bound_cost, read_object, read_text, refuse
from pricing.training.config import ALL_LINEAR

LONGEST_SUFFIX = 64
MOST = "max"  # of the batch size: what is usual here
# Keys of the configuration by the names that they have there.
NAMES = {
    "n_epochs": "epochs",
    "max_seq_length": "max_length",
    "gradient_accumulation_steps": "gradient_accumulation",
    "learning_rate": "learning_rate",
    "packing": "packing",
    "random_seed": "seed",
}
OF_LORA = {"lora_r": "lora_rank", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout"}
# What is sent unasked, with the values at which it is as trainings here do it, and the cure for others.
FIXED: Mapping[str, tuple[frozenset[Any], str]] = {
    "validation_file": (frozenset({"", None}), "is not taken: submit by POST /v1/jobs with validation_split"),
    "n_evals": (frozenset({0, None}), "is not taken: submit by POST /v1/jobs with validation_split"),
    "warmup_ratio": (frozenset({0, None}), "must be 0 here: submit by POST /v1/jobs with warmup_steps"),
    "max_grad_norm": (frozenset({1, None}), "must be 1.0, as in each training here"),
    "weight_decay": (frozenset({0, None}), "must be 0: trainings here have none"),
    "early_stopping_enabled": (frozenset({False, None}), "is not taken: a training ends after its epochs"),
    "wandb_key": (frozenset({None}), "is not taken: no key of another service is kept with a job"),
    "from_hf_model": (frozenset({None}), "is not taken: name a base model, or an adapter to go on from"),
    "hf_api_token": (frozenset({None}), "is not taken: no key of another service is kept with a job"),
    "hf_output_repo_name": (frozenset({None}), "is not taken: adapters are downloaded from here"),
}
# Sent unasked, and of no consequence here: checkpoints are saved each `save_steps`.
PASSED_OVER = frozenset(
    {"n_checkpoints", "multimodal_params", "wandb_base_url", "wandb_project_name", "wandb_name", "wandb_entity"}
    | {"early_stopping_patience", "early_stopping_min_delta", "early_stopping_warmup_evals", "hf_model_revision"}
    | {"train_on_inputs"}
)
READ = frozenset(
    {"model", "training_file", "batch_size", "lr_scheduler", "training_type", "training_method", "suffix"}
    | {"from_checkpoint", *NAMES}
)
# How fields of the REST API are named here.
PARAMS = {
    "dataset_id": "training_file",
    "config.base_model": "model",
    "config.lr_scheduler": "lr_scheduler",
    "config.target_modules": "training_type.lora_trainable_modules",
    "config.init_from": "from_checkpoint",
    "name": "suffix",
    "files": "file",
    **{f"config.{ours}": theirs for theirs, ours in NAMES.items()},
    **{f"config.{ours}": f"training_type.{theirs}" for theirs, ours in OF_LORA.items()},
}


def translate_field(field: str | None) -> str | None:
    """Name a field of the REST API as the clients of this facade sent it."""
    if field is None or field == "body":
        return None
    return PARAMS.get(field, field.removeprefix("config."))


def read_order(body: Mapping[str, Any], *, default_max_cost: str | None) -> dict[str, Any]:
    """Read the body of `POST /v1/jobs` off that of a fine-tuning job, but for what it starts from. Raises: Refused.

    The clients can say no bound for its cost: it is what the key allows (`default_max_cost`, in yuan).
    """
    for name in body:
        if name not in READ and name not in FIXED and name not in PASSED_OVER:
            raise refuse(name, "is no field of a fine-tuning job")
    order: dict[str, Any] = {"dataset_id": read_text(body, "training_file"), "config": read_config(body), "labels": {}}
    bound_cost(order, default_max_cost, "max_cost")
    if body.get("suffix") is not None:
        suffix = read_text(body, "suffix")
        if len(suffix) > LONGEST_SUFFIX:
            raise refuse("suffix", f"must be a text of 1 to {LONGEST_SUFFIX} characters")
        order |= {"name": suffix, "labels": {SUFFIX_LABEL: suffix}}
    return order


def read_config(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the configuration of a training, but for what it starts from. Raises: Refused."""
    for name, (allowed, cure) in FIXED.items():
        value = body.get(name)
        if isinstance(value, list | dict) or value not in allowed:
            raise refuse(name, cure)
    _require_method(body)
    config = {ours: body[theirs] for theirs, ours in NAMES.items() if body.get(theirs) is not None}
    if body.get("batch_size") not in (MOST, None):
        config["batch_size"] = body["batch_size"]
    if body.get("lr_scheduler"):
        config["lr_scheduler"] = _read_scheduler(read_object(body, "lr_scheduler"))
    return {**config, **_read_lora(read_object(body, "training_type"))}


def _require_method(body: Mapping[str, Any]) -> None:
    method = read_object(body, "training_method")
    if method.get("method", "sft") != "sft":
        raise refuse("training_method", "is not trained here: sft is")
    if method.get("train_on_inputs", "auto") not in ("auto", False):
        raise refuse("training_method.train_on_inputs", "must be auto: a training here learns what the assistant says")


def _read_scheduler(scheduler: Mapping[str, Any]) -> Any:
    told = read_object(scheduler, "lr_scheduler_args", "lr_scheduler.")
    if told.get("min_lr_ratio") not in (0, None) or told.get("num_cycles") not in (0.5, None):
        raise refuse("lr_scheduler", "ends at zero, after half a cycle: leave out what says otherwise")
    return scheduler.get("lr_scheduler_type")


def _read_lora(kind: Mapping[str, Any]) -> dict[str, Any]:
    if kind.get("type", "Lora") != "Lora":
        raise refuse("training_type", "is not trained here: Lora is")
    config = {ours: kind[theirs] for theirs, ours in OF_LORA.items() if kind.get(theirs) is not None}
    modules = kind.get("lora_trainable_modules")
    if isinstance(modules, str) and modules:
        config["target_modules"] = modules if modules == ALL_LINEAR else modules.split(",")
    return config
