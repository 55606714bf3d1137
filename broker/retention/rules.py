"""How long what is kept: the settings as moments. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.config import Settings

MIB = 1024 * 1024


@dataclass(frozen=True)
class Rules:
    """What is older than its moment goes. Of each job the `kept_checkpoints` most advanced stay until it is over.

    `ended_jobs`: their checkpoints; `orphans`: files that no row names, and what broke off; `run_work`, `run_logs`: of
    runs that have ended; `messages`: of the outbox, once they are done; `recorded_cycles`: what they were planned from,
    of which at most `recorded_bytes` stay; `wait_causes`: for what jobs waited.
    """

    kept_checkpoints: int
    ended_jobs: datetime
    orphans: datetime
    run_work: datetime
    run_logs: datetime
    messages: datetime
    recorded_cycles: datetime
    recorded_bytes: int
    wait_causes: datetime

    @classmethod
    def of(cls, settings: Settings, now: datetime) -> "Rules":
        return cls(
            kept_checkpoints=settings.kept_checkpoints,
            ended_jobs=now - timedelta(days=settings.ended_job_days),
            orphans=now - timedelta(hours=settings.orphan_hours),
            run_work=now - timedelta(hours=settings.run_work_hours),
            run_logs=now - timedelta(days=settings.run_log_days),
            messages=now - timedelta(days=settings.done_message_days),
            recorded_cycles=now - timedelta(days=settings.recorded_cycle_days),
            recorded_bytes=settings.recorded_cycle_mib * MIB,
            wait_causes=now - timedelta(days=settings.wait_cause_days),
        )
