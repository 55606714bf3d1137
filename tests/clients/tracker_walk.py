"""Tells a tracker of a run by the trainer's own log, in the environment of that tracker's package.

tracker_walk.py NAME FOLDER    with the variables of the tracker, and the repository in PYTHONPATH.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

from trainer.training.tracker_log import TrackerLog
from trainer.training.trackers import require_package


class Quiet:
    """An observer of which nothing is wanted here."""

    def __getattr__(self, _name):
        return lambda *_told, **_named: None


name, folder = sys.argv[1], Path(sys.argv[2])
opens = require_package(name)
with TrackerLog(Quiet(), name, lambda: opens("tea", {"lora_rank": 8, "epochs": 1}, folder)) as log:
    for step in range(1, 6):
        log.step_done(
            SimpleNamespace(
                step=step, total_steps=5, loss=3.0 - step / 10, learning_rate=1e-4, tokens=40, peak_memory_bytes=2**30
            )
        )
    log.validated(step=5, loss=2.25, advice=None)
