"""What the controller knows of our jobs, asked once for all runs that are looked at within a moment."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.execution.engine import EngineUnreachable
from broker.execution.run_script import RunFiles
from broker.execution.slurm.answers import JobSeen


@dataclass
class JobsView:
    """The jobs by their scripts; an answer serves for `fresh_seconds`, unless it lacks what is looked for.

    Threads share it, and ask one at a time. Who waited while nobody answered does not ask, and wait, once more.
    """

    ask: Callable[[], list[JobSeen]]
    fresh_seconds: float
    asked_at: float = float("-inf")
    jobs: dict[str, list[JobSeen]] = field(default_factory=dict)
    asking: threading.Lock = field(default_factory=threading.Lock)
    failure: str = ""
    failed_at: float = float("-inf")

    def find(self, files: RunFiles) -> JobSeen | None:
        """Find the job of a run: the one that started it, or else the one that was submitted last.

        What was submitted after the last answer is not in it: where a run has no job there, Slurm is asked again.
        Raises: EngineUnreachable.
        """
        looked_at = time.monotonic()
        self._refresh(older_than=looked_at - self.fresh_seconds)
        found = self._pick(files)
        if found is None:
            self._refresh(older_than=looked_at)
            found = self._pick(files)
        return found

    def forget(self) -> None:
        """Take no answer of before this moment."""
        self.asked_at = float("-inf")

    def _refresh(self, *, older_than: float) -> None:
        came_at = time.monotonic()
        with self.asking:
            if self.asked_at >= older_than:
                return
            if self.failed_at >= came_at:
                raise EngineUnreachable(self.failure)
            began = time.monotonic()
            jobs: dict[str, list[JobSeen]] = {}
            for job in self._ask():
                jobs.setdefault(job.command, []).append(job)
            self.jobs, self.asked_at = jobs, began

    def _ask(self) -> list[JobSeen]:
        try:
            return self.ask()
        except EngineUnreachable as failure:
            self.failure, self.failed_at = str(failure), time.monotonic()
            raise

    def _pick(self, files: RunFiles) -> JobSeen | None:
        own = self.jobs.get(str(files.script), [])
        job = files.find_job()
        if job is not None:
            return next((seen for seen in own if seen.job == job), None)
        return max(own, key=lambda seen: int(seen.job), default=None)
