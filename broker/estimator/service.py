"""Learning the next calibration as jobs finish."""

import asyncio
import logging
from collections.abc import Sequence

from broker.calibrations import service as calibrations
from broker.estimator.model import read_finished_runs
from broker.jobs.reading import history
from broker.jobs.reading.history import FinishedJob
from broker.system import System
from pricing.calibration.calibration import Calibration
from pricing.calibration.learning import learn_calibration
from pricing.catalog import load_gpus

log = logging.getLogger(__name__)

# Enough for the last 200 runs of each of several GPU types.
LATEST = 1000


async def learn(system: System) -> Calibration | None:
    """Learn a new version if jobs have finished since the newest, else None. Fitting holds no transaction open."""
    async with system.work() as work:
        newest = await calibrations.find_newest_version(work)
        finished = await history.count_finished_jobs(work)
        if finished == await calibrations.count_learnt_jobs(work, newest):
            return None
        jobs = await history.list_finished_jobs(work, latest=LATEST)
        apart = await history.list_finished_apart(work, latest=LATEST)
        before = await calibrations.get_calibration(work, newest)
    version = (newest or 0) + 1
    calibration = await asyncio.to_thread(_learn_from, jobs, apart, version)
    async with system.work() as work:
        await calibrations.keep_calibration(work, calibration, version=version, finished_jobs=finished)
    log.info("calibration %s learnt from %s runs", calibration.version, calibration.runs)
    tell_changes(before, calibration)
    return calibration


def tell_changes(before: Calibration, learnt: Calibration) -> None:
    """Log each change of a GPU type once: where it was not known before, or is a later one than was."""
    for sku, change in learnt.changes.items():
        known = before.changes.get(sku)
        if known is None or change.runs < known.runs:
            log.warning(
                "%s takes %.2f times as long since %s, as %s runs say; what came before no longer counts",
                sku,
                change.factor,
                change.since or "an earlier run",
                change.runs,
            )


def _learn_from(jobs: Sequence[FinishedJob], apart: Sequence[FinishedJob], version: int) -> Calibration:
    others = read_finished_runs(apart)
    return learn_calibration(read_finished_runs(jobs), load_gpus(), version=str(version), apart=others)
