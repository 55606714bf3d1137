"""What happened to a job, as the message of an event. Pure."""

from collections.abc import Mapping
from typing import Any

SENTENCES = {
    "submitted": "Submitted to queue {queue}",
    "dispatched": "Attempt {attempt} handed to pool {pool}",
    "started": "Attempt {attempt} started",
    "checkpoint_saved": "Checkpoint saved at step {step}",
    "validated": "Step {step}: validation loss {loss}",
    "overfitting_noticed": "Step {step}: {message}",
    "stop_requested": "Told to stop: {reason}",
}
LEVELS = {"failed": "error", "overfitting_noticed": "warn", "paused": "warn", "preempted": "warn"}


def tell_event(kind: str, data: Mapping[str, Any]) -> str:
    """Tell an event in a sentence; one that has none here is told by its kind and its reason."""
    try:
        return SENTENCES[kind].format_map(data)
    except KeyError:
        words = kind.replace("_", " ").capitalize()
        reason = data.get("explanation") or data.get("reason")
        return f"{words}: {reason}" if reason else words


def level_of(kind: str) -> str:
    return LEVELS.get(kind, "info")
