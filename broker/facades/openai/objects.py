"""Objects of the REST API written as the OpenAI clients read them. Pure. Times are whole seconds since 1970."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from broker.facades.findings import tell_findings
from broker.facades.model_names import SUFFIX_LABEL, name_adapter, name_made
from broker.facades.sentences import level_of, tell_event
from pricing.training.config import TrainingConfig

STATUSES = {
    "queued": "queued",
    "dispatched": "queued",
    "running": "running",
    "paused": "queued",  # the clients have no word for it; `lora.status` says it
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
ENDED = frozenset({"succeeded", "failed", "cancelled"})
LORA_FIELDS = ("status", "pause_reason", "queue", "pending_reason", "expected_start", "cost", "limit", "max_cost")
RESULTS = "file-results-"


def list_objects(data: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Write a list; the id of its last object is the cursor of the next."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": list(data), "first_id": first, "last_id": last, "has_more": has_more}


def write_file(dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": dataset["id"],
        "object": "file",
        "bytes": sum(file["size_bytes"] for file in dataset["files"]),
        "created_at": count_seconds(dataset["created_at"]),
        "filename": dataset["name"],
        "purpose": "fine-tune",
        "status": "processed",
        "status_details": tell_findings(dataset),
    }


def write_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write a job as a fine-tuning job; what the clients have no field for stands in `lora`."""
    config, labels, is_over = job["config"], job["labels"], job["status"] in ENDED
    chosen = write_hyperparameters(config)
    end = job["expected_end"]
    return {
        "id": job["id"],
        "object": "fine_tuning.job",
        "created_at": count_seconds(job["created_at"]),
        "finished_at": count_seconds(job["finished_at"]),
        "estimated_finish": None if end is None or is_over else count_seconds(end["p50"]),
        "model": config["base_model"],
        "fine_tuned_model": name_made(job) if job["adapter_id"] else None,
        "organization_id": job["customer_id"],
        "status": STATUSES[job["status"]],
        "training_file": job["dataset_id"],
        "validation_file": None,
        "result_files": [RESULTS + job["id"]] if job["status"] == "succeeded" else [],
        "trained_tokens": job["used_tokens"] if is_over else None,
        "hyperparameters": chosen,
        "method": {"type": "supervised", "supervised": {"hyperparameters": chosen}},
        "seed": config.get("seed", 0),
        "error": _write_error(job["error"]),
        "integrations": [],
        "metadata": {name: value for name, value in labels.items() if name != SUFFIX_LABEL},
        "lora": {name: job[name] for name in LORA_FIELDS},
    }


def write_hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    usual: float = TrainingConfig.model_fields["learning_rate"].default
    multiplier = config.get("learning_rate", usual) / usual
    return {
        "n_epochs": config["epochs"],
        "batch_size": config["batch_size"],
        "learning_rate_multiplier": round(multiplier, 6),
    }


def _write_error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"code": str(error.get("code", "failed")), "message": str(error.get("message", "")), "param": None}


def write_event(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"ftevent-{event['id']}",
        "object": "fine_tuning.job.event",
        "created_at": count_seconds(event["created_at"]),
        "level": level_of(event["kind"]),
        "message": tell_event(event["kind"], event["data"]),
        "type": "metrics" if event["kind"] == "validated" else "message",
        "data": {"kind": event["kind"], **event["data"]},
    }


def write_checkpoint(job: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": checkpoint["id"],
        "object": "fine_tuning.job.checkpoint",
        "created_at": count_seconds(checkpoint["created_at"]),
        "fine_tuning_job_id": job["id"],
        "fine_tuned_model_checkpoint": name_made(job, checkpoint["step"]),
        "step_number": checkpoint["step"],
        "metrics": {"step": checkpoint["step"]},
    }


def write_base_model(model: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": model["name"], "object": "model", "created": 0, "owned_by": "broker"}


def write_adapter(adapter: Mapping[str, Any]) -> dict[str, Any]:
    created = count_seconds(adapter["created_at"])
    return {"id": name_adapter(adapter), "object": "model", "created": created, "owned_by": adapter["customer_id"]}


def count_seconds(moment: str | None) -> int | None:
    """Count the whole seconds from 1970 to a moment that is written as the REST API writes it."""
    return None if moment is None else int(datetime.fromisoformat(moment).timestamp())
