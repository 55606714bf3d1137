"""What is thought of a job's run time when it is submitted: its user's word, the truth, or what was learned. Pure."""

from collections import deque
from typing import Protocol

from broker.scheduling.simulation.trace import TraceJob

# What a job is thought to run of which nobody has said anything and whose owner has run nothing yet.
UNKNOWN_SECONDS = 3600.0
LEARNED_FROM = 2


class Estimates(Protocol):
    def predict(self, job: TraceJob) -> float:
        """Predict seconds of work, above zero, of a job that is submitted now."""

    def learn(self, job: TraceJob) -> None:
        """Learn from a job that has just ended."""


class UserEstimates:
    """What its user asked for; a job without that counts as an hour."""

    def predict(self, job: TraceJob) -> float:
        return job.asked_seconds or UNKNOWN_SECONDS

    def learn(self, job: TraceJob) -> None:
        """Learn nothing: users say what they say."""


class PerfectEstimates:
    """The true run time, which nobody knows: a bound on what better estimates could bring."""

    def predict(self, job: TraceJob) -> float:
        return job.run_seconds

    def learn(self, job: TraceJob) -> None:
        """Learn nothing: all is known."""


class PredictedEstimates:
    """The mean of the last two jobs of the same owner that have ended, never above what the user asked for.

    Source: Tsafrir, Etsion, Feitelson: Backfilling Using System-Generated Predictions Rather than User Runtime
    Estimates, 2007 (EASY++).
    """

    def __init__(self) -> None:
        self.seconds: dict[str, deque[float]] = {}

    def predict(self, job: TraceJob) -> float:
        known = self.seconds.get(job.owner)
        most = job.asked_seconds or UNKNOWN_SECONDS
        if not known:
            return most
        mean = sum(known) / len(known)
        return min(mean, most) if job.asked_seconds else mean

    def learn(self, job: TraceJob) -> None:
        self.seconds.setdefault(job.owner, deque(maxlen=LEARNED_FROM)).append(job.run_seconds)
