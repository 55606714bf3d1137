"""Usage on its way to the broker: kept on disk until it is acknowledged, so that nothing is lost and nothing is billed
twice.
"""

import json
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from trainer.atomic_files import writing_file
from trainer.protocol.meter import UsageInterval


class UsageSpool:
    """The usage events of one run that the broker has not acknowledged, numbered without gaps.

    Threads: whoever cuts the usage appends, the heartbeat lists and acknowledges.
    """

    def __init__(self, folder: Path, run_id: str, next_sequence: int) -> None:
        """Take up what an earlier process of this run left behind; what is below `next_sequence` the broker has."""
        self._folder, self._run_id = folder, run_id
        self._lock = threading.Lock()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pending: dict[int, dict[str, Any]] = {}
        for path in sorted(self._folder.glob("*.json")):
            self._pending[int(path.stem)] = json.loads(path.read_text(encoding="utf-8"))
        self.acknowledge(next_sequence - 1)
        self._next_sequence = max(self._pending, default=next_sequence - 1) + 1

    def append(self, interval: UsageInterval) -> None:
        """Give an interval its number and keep it, in memory where the disk is full.

        Raises: OSError, after keeping it.
        """
        with self._lock:
            sequence = self._next_sequence
            event = build_usage_event(interval, self._run_id, sequence)
            self._next_sequence += 1
            self._pending[sequence] = event
            with writing_file(self._path(sequence)) as aside:
                aside.write_text(json.dumps(event), encoding="utf-8")

    def list_pending(self, limit: int) -> list[dict[str, Any]]:
        """List the oldest events, in their order."""
        with self._lock:
            return [self._pending[sequence] for sequence in sorted(self._pending)[:limit]]

    def acknowledge(self, sequence: int) -> None:
        """Forget everything up to and including `sequence`."""
        with self._lock:
            for known in [known for known in self._pending if known <= sequence]:
                self._path(known).unlink(missing_ok=True)
                del self._pending[known]

    def forget_all(self) -> None:
        """Forget everything: the run is finished, and the broker has it all."""
        self.acknowledge(self._next_sequence - 1)

    def _path(self, sequence: int) -> Path:
        return self._folder / f"{sequence:012d}.json"


def build_usage_event(interval: UsageInterval, run_id: str, sequence: int) -> dict[str, Any]:
    """Write the interval as a CloudEvent. Source: CloudEvents 1.0, JSON format."""
    return {
        "specversion": "1.0",
        "id": f"{run_id}/{sequence}",
        "source": f"/runs/{run_id}",
        "type": "lora.usage.interval",
        "subject": run_id,
        "time": format_time(interval.ended_at),
        "datacontenttype": "application/json",
        "data": {
            "sequence": sequence,
            "started_at": format_time(interval.started_at),
            "ended_at": format_time(interval.ended_at),
            "gpu_seconds": interval.gpu_seconds,
            "tokens": interval.tokens,
            "checkpoint_step": interval.checkpoint_step,
        },
    }


def format_time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
