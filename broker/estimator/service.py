"""The calibration in use, and learning the next one as jobs finish."""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.dialects.postgresql import insert

from broker.estimator.model import read_finished_runs
from broker.estimator.tables import LearntCalibration
from broker.jobs import history
from broker.jobs.history import FinishedJob
from broker.system import System
from broker.work import Work
from pricing.calibration.calibration import Calibration
from pricing.calibration.learning import learn_calibration
from pricing.catalog import load_gpus

log = logging.getLogger(__name__)

# Enough for the last 200 runs of each of several GPU types.
LATEST = 1000
PRIOR = Calibration()


def select_newest_version() -> ScalarSelect[int | None]:
    """For a statement that asks for more; null before any job has finished."""
    return select(func.max(LearntCalibration.version)).scalar_subquery()


async def find_newest_version(work: Work) -> int | None:
    """None before any job has finished."""
    return await work.session.scalar(select(select_newest_version()))


async def get_newest_calibration(work: Work) -> Calibration:
    """The newest one; before any job has finished, that of published figures."""
    return await get_calibration(work, await find_newest_version(work))


async def get_calibration(work: Work, version: int | None) -> Calibration:
    """The calibration of a version, of which there is one; none is that of published figures."""
    if version is None:
        return PRIOR
    known = work.services.parsed.find(Calibration, str(version))
    if known is not None:
        return known
    row = await work.session.get_one(LearntCalibration, version)
    return work.services.parsed.keep(str(version), Calibration.from_json(row.content))


async def learn(system: System) -> Calibration | None:
    """Learn a new version if jobs have finished since the newest; None if not. Fitting holds no transaction open."""
    async with system.work() as work:
        newest = await work.session.scalar(
            select(LearntCalibration).order_by(LearntCalibration.version.desc()).limit(1)
        )
        finished = await history.count_finished_jobs(work)
        if finished == (newest.finished_jobs if newest else 0):
            return None
        version = newest.version + 1 if newest else 1
        jobs = await history.list_finished_jobs(work, latest=LATEST)
    calibration = await asyncio.to_thread(_learn_from, jobs, version)
    async with system.work() as work:
        await work.session.execute(
            insert(LearntCalibration)
            .values(version=version, finished_jobs=finished, content=calibration.to_json(), created_at=work.now)
            .on_conflict_do_nothing()  # another process has learnt the same
        )
    log.info("calibration %s learnt from %s runs", calibration.version, calibration.runs)
    return calibration


def _learn_from(jobs: Sequence[FinishedJob], version: int) -> Calibration:
    return learn_calibration(read_finished_runs(jobs), load_gpus(), version=str(version))
