"""Inside a measured process: lets it train one round, says what the round took, and waits for the word to go on."""

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass

MARK = "@round "


@dataclass(frozen=True)
class Round:
    """Seconds of one round by the wall and in CPU time of all threads; `ended_at` on the machine's monotonic clock.

    `peak_bytes` is the peak resident size of the process up to now.
    """

    steps: int
    wall_seconds: float
    cpu_seconds: float
    ended_at: float
    peak_bytes: int


class Rounds:
    """Cuts a training into rounds, and waits after each until it may go on. Call `step_done` after every step.

    The very first step is a round of its own: it tells how long starting took.
    """

    def __init__(self) -> None:
        self.steps_per_round = 0  # to be set before the first step
        self._total = self._steps = 0
        self._begin()

    def step_done(self) -> bool:
        """Report a step; False when the other side wants no more rounds."""
        self._total += 1
        self._steps += 1
        if self._total != 1 and self._total % self.steps_per_round:
            return True
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        now = time.monotonic()
        done = Round(self._steps, now - self._wall, time.process_time() - self._cpu, now, peak)
        print(MARK + json.dumps(asdict(done)), flush=True)
        goes_on = sys.stdin.readline().strip() == "go"
        self._begin()
        return goes_on

    def _begin(self) -> None:
        self._steps, self._wall, self._cpu = 0, time.monotonic(), time.process_time()
