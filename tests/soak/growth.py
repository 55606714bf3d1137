"""What brokers take over time, read from outside of them: memory, open files, threads; and what is left on disk."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from broker.persistence.folder_storage import ID_FILE
from tests.soak.town import Town

MIB = 2**20
SAMPLE_SECONDS = 2.0
# In a calm while, what a broker takes may grow by so much: its caches fill, PostgreSQL's connections come and go.
SHARE, MEMORY_SLACK_MIB, FILES_SLACK = 0.10, 24.0, 24
# A while shorter than this tells nothing; and of a longer one the first third, in which a process warms up.
LEAST_SECONDS, WARM_UP = 40.0, 3
# Which part of the samples at either end is compared, by their medians.
ENDS = 4


@dataclass(frozen=True)
class Sample:
    """What one process took at a moment."""

    at: float
    memory_mib: float
    files: int
    threads: int


@dataclass
class Growth:
    """The samples of each process, by its name and pid: one that was killed begins anew."""

    town: Town
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    next_at: float = 0.0

    def sample(self) -> None:
        """Take samples, where it is time to."""
        if time.monotonic() < self.next_at:
            return
        self.next_at = time.monotonic() + SAMPLE_SECONDS
        for name, process in self.list_processes():
            with suppress(psutil.Error):
                taken = Sample(
                    time.monotonic(), process.memory_info().rss / MIB, process.num_fds(), process.num_threads()
                )
                self.samples.setdefault(f"{name} {process.pid}", []).append(taken)

    def list_processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for name, served in zip(("first", "second", "agent"), [*self.town.brokers, self.town.worker], strict=True):
            with suppress(AssertionError, psutil.Error):
                yield name, served.first_process()

    def begin(self) -> None:
        """Forget what was before: from here on nothing is killed."""
        self.samples.clear()

    def summarize(self) -> dict[str, dict[str, list[float]]]:
        """Summarize how each process stood at the beginning and at the end, by the medians of its first and last."""
        return {
            name: {
                what: [middle([getattr(each, what) for each in part]) for part in (first(warm(taken)), last(taken))]
                for what in ("memory_mib", "files", "threads")
            }
            for name, taken in self.samples.items()
            if len(taken) >= 2
        }

    def list_grown(self) -> list[str]:
        """List what has grown by more than it may, of processes that have been looked at for long enough."""
        grown = []
        for name, taken in self.summarize().items():
            if self.samples[name][-1].at - self.samples[name][0].at < LEAST_SECONDS:
                continue
            for what, slack in (("memory_mib", MEMORY_SLACK_MIB), ("files", FILES_SLACK), ("threads", FILES_SLACK)):
                began, ended = taken[what]
                if ended > began * (1 + SHARE) + slack:
                    grown.append(f"{what} of {name}: {began:.0f} to {ended:.0f}")
        return grown


def warm(taken: list[Sample]) -> list[Sample]:
    return taken[len(taken) // WARM_UP :]


def first(taken: list[Sample]) -> list[Sample]:
    return taken[: max(1, len(taken) // ENDS)]


def last(taken: list[Sample]) -> list[Sample]:
    return taken[-max(1, len(taken) // ENDS) :]


def middle(values: list[float]) -> float:
    return round(sorted(values)[len(values) // 2], 1)


def count_files(folder: Path) -> int:
    """Count the files below a folder, but for those that say what the folder is."""
    return sum(1 for each in folder.rglob("*") if each.is_file() and each.name != ID_FILE) if folder.exists() else 0
