"""How long what is kept: the settings, and what ops has set in their place, as moments. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.config import Settings

MIB = 1024 * 1024
# The settings that ops may set anew while the broker serves.
RULES = (
    "kept_checkpoints",
    "kept_adapter_versions",
    "ended_job_days",
    "orphan_hours",
    "run_work_hours",
    "run_log_days",
    "done_message_days",
    "recorded_cycle_days",
    "recorded_cycle_mib",
    "wait_cause_days",
)


@dataclass(frozen=True)
class Rules:
    """What is older than its moment goes. Of each job the `kept_checkpoints` most advanced stay until it is over, of
    each name of a customer the `kept_adapter_versions` newest where it says nothing else; 0: all.

    `ended_jobs`: their checkpoints; `orphans`: files that no row names, and what broke off; `run_work`, `run_logs`: of
    runs that have ended; `messages`: of the outbox, once they are done; `recorded_cycles`: what they were planned from,
    of which at most `recorded_bytes` stay; `wait_causes`: for what jobs waited.
    """

    kept_checkpoints: int
    kept_adapter_versions: int
    ended_jobs: datetime
    orphans: datetime
    run_work: datetime
    run_logs: datetime
    messages: datetime
    recorded_cycles: datetime
    recorded_bytes: int
    wait_causes: datetime

    @classmethod
    def of(cls, settings: Settings, now: datetime, changed: Mapping[str, float] | None = None) -> "Rules":
        """Make the rules of a moment; `changed` are those that ops has set, by their names."""
        told = {name: getattr(settings, name) for name in RULES} | dict(changed or {})
        return cls(
            kept_checkpoints=int(told["kept_checkpoints"]),
            kept_adapter_versions=int(told["kept_adapter_versions"]),
            ended_jobs=now - timedelta(days=told["ended_job_days"]),
            orphans=now - timedelta(hours=told["orphan_hours"]),
            run_work=now - timedelta(hours=told["run_work_hours"]),
            run_logs=now - timedelta(days=told["run_log_days"]),
            messages=now - timedelta(days=told["done_message_days"]),
            recorded_cycles=now - timedelta(days=told["recorded_cycle_days"]),
            recorded_bytes=int(told["recorded_cycle_mib"] * MIB),
            wait_causes=now - timedelta(days=told["wait_cause_days"]),
        )
