"""What a worker reports and what it is told, apart from how either is written. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.customer_secrets.model import TrackerAccess
from broker.jobs.rules.model import JobStatus, RunStatus, StopReason
from broker.jobs.running.losses import StepLosses
from broker.metering.events.evidence import Doubt
from broker.metering.events.model import UsageCloudEvent
from pricing.catalog.profile import BaseModelProfile
from pricing.money import Money


@dataclass(frozen=True)
class Validation:
    """The loss of the held-out rows after a step, None where it is not finite; `advice` where it says overfitting."""

    step: int
    loss: float | None
    advice: str | None = None


@dataclass(frozen=True)
class Sample:
    """What the adapter makes of a prompt after a step: a text, or a small picture as a data URI."""

    step: int
    prompt: str
    text: str | None = None
    image: str | None = None


@dataclass(frozen=True)
class Report:
    """What a heartbeat brings. `progress` has step, total_steps, epoch, loss and so on; None while loading."""

    progress: dict[str, Any] | None = None
    usage: Sequence[UsageCloudEvent] = field(default_factory=tuple)
    validations: Sequence[Validation] = field(default_factory=tuple)
    samples: Sequence[Sample] = field(default_factory=tuple)
    losses: Sequence[StepLosses] = field(default_factory=tuple)


@dataclass(frozen=True)
class Instruction:
    """What a heartbeat is answered: whether to stop and why, what is stored, and what the job has cost so far.

    `quarantined` are the intervals of this report that were not charged, and why.
    """

    stop_reason: StopReason | None
    acknowledged_sequence: int
    quarantined: Mapping[int, Doubt]
    cost: Money


@dataclass(frozen=True)
class RunEnd:
    """What the end of a run is answered: what it and its job are now, and the intervals that were not charged."""

    run_status: RunStatus
    job_status: JobStatus
    quarantined: Mapping[int, Doubt]


@dataclass(frozen=True)
class Download:
    """A file that the run fetches from the broker. Units: bytes."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class CheckpointDownload(Download):
    """The checkpoint that a run goes on from, taken after `step` optimizer steps."""

    step: int


@dataclass(frozen=True)
class Assignment:
    """What a worker that claims a run is to train, from what, and how often it is to report.

    `base_model` is the profile of one that an operator added, whose files the worker checks; None: the catalogue's.
    `init_adapter` is what its configuration goes on from; None where it begins anew, or that was deleted.
    `tracker` is what it tells besides the broker, with the key of that.
    `now` is the broker's time, from which the worker counts.
    """

    run_id: str
    job_id: str
    attempt: int
    gpus: int
    config: dict[str, Any]
    heartbeat_seconds: float
    base_model: BaseModelProfile | None
    dataset: Download
    checkpoint: CheckpointDownload | None
    init_adapter: Download | None
    tracker: TrackerAccess | None
    next_sequence: int
    next_log_number: int
    now: datetime
