"""`trainer run` where the packages of trackers are installed besides; a run of one seed fails at its second step.

tracker_trainer.py FOLDER    with the packages of the trackers, which come after all that the trainer itself has.
"""

import sys

FAILS = 13

sys.path.append(sys.argv[1])
sys.argv = ["trainer", "run"]

from trainer.commands import cli  # noqa: E402
from trainer.errors import LossNotFinite  # noqa: E402
from trainer.training import recipe  # noqa: E402

report_step = recipe.report_step


def fail_once_begun(state, plan, observer, taken) -> None:
    if state.identity.config.seed == FAILS and taken.step > 1:
        raise LossNotFinite(taken.step, float("nan"))
    report_step(state, plan, observer, taken)


recipe.report_step = fail_once_begun
cli.app()
