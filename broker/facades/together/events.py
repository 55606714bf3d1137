"""What happened to a job, in the words of Together's events. Pure."""

from collections.abc import Mapping
from typing import Any

from broker.facades.sentences import level_of, tell_event

TYPES = {
    "submitted": "job_pending",
    "dispatched": "job_start",
    "started": "training_start",
    "checkpoint_saved": "checkpoint_save",
    "validated": "epoch_complete",
    "stop_requested": "job_stopped",
    "paused": "job_stopped",
    "cancelled": "job_stopped",
    "resumed": "job_restarted",
    "run_preempted": "job_restarted",
    "run_lost": "job_restarted",
    "run_stopped": "job_stopped",
    "run_succeeded": "job_complete",
    "run_failed": "job_error",
    "lost_work_borne": "refund",
}
OTHER = "warning"
LEVELS = {"warn": "warning"}


def write_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Write an event; of a kind that the clients have no word for, with one that they show."""
    kind, data = event["kind"], event["data"]
    asked_to_cancel = kind == "stop_requested" and data.get("reason") == "cancel"
    level = level_of(kind)
    told = {
        "object": "fine-tune-event",
        "type": "cancel_requested" if asked_to_cancel else TYPES.get(kind, OTHER),
        "created_at": event["created_at"],
        "level": LEVELS.get(level, level),
        "message": tell_event(kind, data),
        "hash": str(event["id"]),
    }
    return told if data.get("step") is None else {**told, "step": data["step"]}
