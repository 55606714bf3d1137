"""Objects of the REST API written as DashScope's clients read them. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from broker.facades.findings import tell_findings
from broker.facades.model_names import name_made

# DashScope tells times by the clock of Beijing, without saying so.
BEIJING = ZoneInfo("Asia/Shanghai")
STATUSES = {
    "queued": "PENDING",
    "dispatched": "PENDING",
    "running": "RUNNING",
    "paused": "SUSPENDED",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELED",
}
LORA_FIELDS = ("pause_reason", "queue", "pending_reason", "expected_start", "cost", "limit", "max_cost")


def write_file(dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "file_id": dataset["id"],
        "name": dataset["name"],
        "description": tell_findings(dataset) or "",
        "size": sum(file["size_bytes"] for file in dataset["files"]),
        "purpose": "fine-tune",
        "gmt_create": write_time(dataset["created_at"]),
        "upload_time": write_time(dataset["created_at"]),
        "usable_rows": dataset["usable_rows"],
    }


def write_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write a job; what DashScope has no field for stands in `lora`."""
    config, customer = job["config"], job["customer_id"]
    told = {
        "job_id": job["id"],
        "job_name": job["name"] or job["id"],
        "status": STATUSES[job["status"]],
        "model": config["base_model"],
        "base_model": config["base_model"],
        "training_file_ids": [job["dataset_id"]],
        "validation_file_ids": [],
        "hyper_parameters": write_hyper_parameters(config),
        "training_type": "efficient_sft",
        "create_time": write_time(job["created_at"]),
        "user_identity": customer,
        "modifier": customer,
        "creator": customer,
        "group": "llm",
        "lora": {name: job[name] for name in LORA_FIELDS},
    }
    if job["finished_at"] is not None:
        told |= {"end_time": write_time(job["finished_at"]), "usage": job["used_tokens"]}
    if job["adapter_id"]:
        told["finetuned_output"] = name_made(job)
    if job["error"] is not None:
        told |= {"code": str(job["error"].get("code", "failed")), "message": str(job["error"].get("message", ""))}
    return told


def write_hyper_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the configuration with its defaults by DashScope's names."""
    told = {
        "n_epochs": "epochs",
        "batch_size": "batch_size",
        "learning_rate": "learning_rate",
        "max_length": "max_length",
        "lr_scheduler_type": "lr_scheduler",
        "lora_rank": "lora_rank",
        "lora_alpha": "lora_alpha",
        "lora_dropout": "lora_dropout",
    }
    written = {theirs: config[ours] for theirs, ours in told.items() if ours in config}
    return {**written, "split": round(1 - config.get("validation_split", 0.0), 6)}


def write_checkpoint(job: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    name = f"checkpoint-{checkpoint['step']}"
    return {
        "checkpoint_id": checkpoint["id"],
        "checkpoint": name,
        "full_name": f"{job['id']}:{name}",
        "job_id": job["id"],
        "model_name": name_made(job, checkpoint["step"]),
        "model_display_name": job["name"] or job["id"],
        "status": "SUCCEEDED",
        "step": checkpoint["step"],
        "create_time": write_time(checkpoint["created_at"]),
    }


def write_line(line: Mapping[str, Any]) -> str:
    """Write a line of a training log, behind when it was written."""
    return f"{write_time(line['at'])} {line['text']}"


def write_time(moment: str) -> str:
    """Write a moment as DashScope does."""
    return datetime.fromisoformat(moment).astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
