"""Fields of the REST API by the names that the OpenAI clients sent them under. Pure."""

HYPERPARAMETERS = "method.supervised.hyperparameters"
# How fields of the REST API are named here; the first that fits counts.
PARAMS = {
    "dataset_id": "training_file",
    "config.base_model": "model",
    "config.epochs": f"{HYPERPARAMETERS}.n_epochs",
    "config.batch_size": f"{HYPERPARAMETERS}.batch_size",
    "config.learning_rate": f"{HYPERPARAMETERS}.learning_rate_multiplier",
    "config.seed": "seed",
    "files": "file",
    "cursor": "after",
}
PREFIXES = {"labels": "metadata", "config": "lora", "": "lora"}


def translate_field(field: str | None) -> str | None:
    """Name a field of the REST API as the clients of this facade sent it."""
    if field is None or field == "body":
        return None
    if field in PARAMS:
        return PARAMS[field]
    head, _, rest = field.partition(".")
    return f"{PREFIXES[head]}.{rest}" if head in PREFIXES and rest else f"{PREFIXES['']}.{field}"
