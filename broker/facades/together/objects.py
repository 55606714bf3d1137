"""Objects of the REST API written as Together's clients read them. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from broker.facades.findings import tell_findings
from broker.facades.model_names import SUFFIX_LABEL, name_file_of

TYPES = frozenset({"jsonl", "csv", "parquet"})
STATUSES = {
    "queued": "queued",
    "dispatched": "queued",
    "running": "running",
    "paused": "pending",
    "succeeded": "completed",
    "failed": "error",
    "cancelled": "cancelled",
}
BILLION = 10**9  # prices are whole billionths there: here, of a yuan
ENDED = frozenset({"succeeded", "failed", "cancelled"})
LORA_FIELDS = (
    "status",
    "pause_reason",
    "queue",
    "pending_reason",
    "expected_start",
    "cost",
    "limit",
    "max_cost",
    "error",
)


def write_file(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Write a data set as a file, with its quality report."""
    kind = PurePosixPath(dataset["files"][0]["name"]).suffix.removeprefix(".")
    is_usable = dataset["usable_rows"] > 0
    report = {"valid": is_usable, "file_id": dataset["id"], "nlines": dataset["row_counts"]["read"]}
    if (told := tell_findings(dataset)) is not None:
        report["error"] = told
    return {
        "id": dataset["id"],
        "object": "file",
        "bytes": sum(file["size_bytes"] for file in dataset["files"]),
        "created_at": int(datetime.fromisoformat(dataset["created_at"]).timestamp()),
        "filename": dataset["name"],
        "FileType": kind if kind in TYPES else "jsonl",
        "purpose": "fine-tune",
        "processing_status": "COMPLETED" if is_usable else "INVALID_FORMAT",
        "validation_report": report,
    }


def write_job(job: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Write a job; what the clients have no field for stands in `lora`. What it has cost is in yuan."""
    config, is_over = job["config"], job["status"] in ENDED
    is_stopping = job["stop_requested"] == "cancel" and not is_over
    latest = job["finished_at"] or job["started_at"] or job["created_at"]
    return {
        "id": job["id"],
        "job_id": job["id"],
        "status": "cancel_requested" if is_stopping else STATUSES[job["status"]],
        "user_id": job["customer_id"],
        "created_at": job["created_at"],
        "started_at": job["started_at"],
        "updated_at": latest,
        "model": config["base_model"],
        "model_output_name": name_file_of(job) if job["adapter_id"] else None,
        "adapter_output_name": None,
        "from_checkpoint": config.get("init_from"),
        "training_file": job["dataset_id"],
        "validation_file": "",
        "n_epochs": config.get("epochs"),
        "n_evals": 0,
        "batch_size": config.get("batch_size"),
        "learning_rate": config.get("learning_rate"),
        "lr_scheduler": {"lr_scheduler_type": config.get("lr_scheduler", "cosine")},
        "max_seq_length": config.get("max_length"),
        "packing": config.get("packing"),
        "random_seed": config.get("seed"),
        "warmup_ratio": 0.0,
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "training_method": {"method": "sft", "train_on_inputs": "auto"},
        "training_type": _write_lora(config),
        "suffix": job["labels"].get(SUFFIX_LABEL),
        "token_count": job["used_tokens"] if is_over else None,
        "total_price": int(Decimal(job["cost"]["amount"]) * BILLION),
        "progress": _write_progress(job, now, is_over=is_over),
        "events": [],
        "lora": {name: job[name] for name in LORA_FIELDS},
    }


def _write_lora(config: Mapping[str, Any]) -> dict[str, Any]:
    modules = config.get("target_modules") or ()
    return {
        "type": "Lora",
        "lora_r": config.get("lora_rank"),
        "lora_alpha": config.get("lora_alpha"),
        "lora_dropout": config.get("lora_dropout"),
        "lora_trainable_modules": modules if isinstance(modules, str) else ",".join(modules),
    }


def _write_progress(job: Mapping[str, Any], now: datetime, *, is_over: bool) -> dict[str, Any]:
    """Write when a job is expected to end: the command takes off what has passed since it started."""
    end = None if is_over else job["expected_end"]
    since = now if job["started_at"] is None else datetime.fromisoformat(job["started_at"])
    left = 0 if end is None else (datetime.fromisoformat(end["p50"]) - since).total_seconds()
    return {"estimate_available": end is not None, "seconds_remaining": max(0, int(left))}


def write_checkpoint(job: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Write a checkpoint to go on from; the adapter itself is the last."""
    told = {"step": checkpoint["step"], "created_at": checkpoint["created_at"]}
    return {
        **told,
        "checkpoint_type": f"Intermediate step {checkpoint['step']}",
        "path": f"{job['id']}:{checkpoint['step']}",
    }


def write_metrics(rows: list[dict[str, Any]], first: int, last: int | None) -> list[dict[str, float]]:
    """Write the losses by step: what was not measured at a step is left out."""
    names = {"train_loss": "mean", "eval_loss": "validation"}
    told = [row for row in rows if row["step"] >= first and (last is None or row["step"] <= last)]
    return [
        {"global_step": row["step"]} | {theirs: row[ours] for theirs, ours in names.items() if row[ours] is not None}
        for row in told
    ]


def write_limits(model: Mapping[str, Any]) -> dict[str, Any]:
    """Write within which bounds a base model is trained here: by LoRA alone."""
    return {
        "model_name": model["name"],
        "default_gradient_accumulation_steps": 1,
        "lora_training": {
            "default_rank": 8,
            "max_rank": 1024,
            "min_batch_size": 1,
            "max_batch_size": 4096,
            "max_batch_size_dpo": 0,
            "target_modules": ["all-linear"],
        },
        "min_learning_rate": 0.0,
        "max_learning_rate": 1.0,
        "max_num_checkpoints": 10_000,
        "max_num_epochs": 10_000,
        "max_num_evals": 0,
        "max_seq_length_sft": model["context_length"],
        "max_seq_length_dpo": 0,
        "min_max_seq_length": 8,
        "merge_output_lora": False,
        "supports_full_training": False,
        "supports_reasoning": False,
        "supports_tools": False,
        "supports_vision": False,
    }
