"""What a job says beside its configuration, not in it, and the words by which people put it there."""

from pricing.training.config import TrainingConfig

# Fields of POST /v1/jobs, each with what other programs and services call it.
BESIDE = {
    "dataset_id": (
        "data",
        "data_dir",
        "data_path",
        "dataset",
        "dataset_dir",
        "dataset_name",
        "datasets",
        "image_dir",
        "train_data",
        "train_dataset",
        "train_file",
        "training_file",
    ),
    "gpu_types": ("accelerator", "gpu", "gpu_model", "gpu_name", "gpu_type", "hardware", "instance_type"),
    "gpus": ("devices", "gpu_count", "n_gpu", "n_gpus", "nproc_per_node", "num_gpus", "num_processes", "world_size"),
    "queue": ("priority", "priority_class", "queue_name"),
    "prefer": ("preference",),
    "max_cost": ("budget", "cost_limit", "max_budget", "max_price", "spending_limit"),
    "finish_by": ("deadline", "due", "finish_before"),
    "name": ("display_name", "experiment_name", "job_name", "output_name", "run_name"),
    "labels": ("metadata", "tags"),
    "project_id": ("project", "project_name"),
    "contract_id": ("contract",),
    "customer_id": ("customer",),
    "quote_id": ("quote",),
    "template": ("template_id", "template_name"),
    "tracker": (
        "log_with",
        "logging_dir",
        "report_to",
        "swanlab_project",
        "use_swanlab",
        "use_tensorboard",
        "use_wandb",
        "wandb",
        "wandb_entity",
        "wandb_project",
        "wandb_run_name",
    ),
}
# What no job says, with where it is said, or why it is not needed.
ELSEWHERE = {
    **dict.fromkeys(
        ("callback", "callback_url", "notify_url", "webhook", "webhook_url", "webhooks"),
        "an endpoint of POST /v1/webhook-endpoints is told of every job",
    ),
    **dict.fromkeys(
        ("auto_resume_from_checkpoints", "resume_from_checkpoint"),
        "leave it out: a job that is interrupted goes on from its own last checkpoint",
    ),
    **dict.fromkeys(
        ("in_json", "metadata_file"),
        "leave it out: captions come within the data set, in its metadata.csv or metadata.jsonl",
    ),
}
PLACES = {word: field for field, words in BESIDE.items() for word in (field, *words)}


def explain_job_key(key: str) -> str | None:
    """Say where a job says what this key of its configuration means; None for the keys of a configuration, and others.

    The words of `trainer run` for a file on one's own machine mean something else there: ask for a job alone.
    """
    plain = key.strip().lower().replace("-", "_")
    if plain in TrainingConfig.model_fields:
        return None
    if plain in PLACES:
        return f"a job says it beside its config, as {PLACES[plain]}"
    return ELSEWHERE.get(plain)
