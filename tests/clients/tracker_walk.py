"""Tells a tracker of a run by the trainer's own log, in the environment of that tracker's package.

tracker_walk.py NAME FOLDER [done|failed|stopped]    with the tracker's variables, and the repository in PYTHONPATH.
"""

import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

from trainer.errors import LossNotFinite
from trainer.training.tracker_log import TrackerLog
from trainer.training.trackers import require_package


class Quiet:
    """An observer of which nothing is wanted here."""

    def __getattr__(self, _name):
        return lambda *_told, **_named: None


name, folder, how = sys.argv[1], Path(sys.argv[2]), (sys.argv[3:] or ["done"])[0]
opens = require_package(name)
steps = {"loss": 0.0, "learning_rate": 1e-4, "tokens": 40, "peak_memory_bytes": 2**30}
with (
    suppress(LossNotFinite),
    TrackerLog(Quiet(), name, lambda: opens("tea", {"lora_rank": 8, "epochs": 1}, folder)) as log,
):
    for step in range(1, 6):
        told = {**steps, "loss": 3.0 - step / 10, "step": step, "total_steps": 9 if how == "stopped" else 5}
        log.step_done(SimpleNamespace(**told))
    log.validated(step=5, loss=2.25, advice=None)
    if how == "failed":
        raise LossNotFinite(6, float("nan"))
