"""The calibration in use: which version is the newest, and what each says."""

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.dialects.postgresql import insert

from broker.calibrations.tables import LearntCalibration
from broker.work import Work
from pricing.calibration.calibration import Calibration

PRIOR = Calibration()


def select_newest_version() -> ScalarSelect[int | None]:
    """Select the newest version, as part of a larger statement; null before any job has finished."""
    return select(func.max(LearntCalibration.version)).scalar_subquery()


async def find_newest_version(work: Work) -> int | None:
    """Find the newest version; None before any job has finished."""
    return await work.session.scalar(select(select_newest_version()))


async def count_learnt_jobs(work: Work, version: int | None) -> int:
    """Count the finished jobs that a version was learnt from; 0 where there is no version yet."""
    query = select(LearntCalibration.finished_jobs).where(LearntCalibration.version == version)
    return await work.session.scalar(query) or 0


async def get_newest_calibration(work: Work) -> Calibration:
    """Get the newest calibration; before any job has finished, that of published figures."""
    return await get_calibration(work, await find_newest_version(work))


async def get_calibration(work: Work, version: int | None) -> Calibration:
    """Get the calibration of a version, which must exist; None stands for that of published figures."""
    if version is None:
        return PRIOR
    known = work.services.versions.find(Calibration, str(version))
    if known is not None:
        return known
    row = await work.session.get_one(LearntCalibration, version)
    return work.services.versions.keep(str(version), Calibration.from_json(row.content))


async def keep_calibration(work: Work, calibration: Calibration, *, version: int, finished_jobs: int) -> None:
    """Keep a new version; where another process has kept that version already, the earlier one stays."""
    row = {
        "version": version,
        "finished_jobs": finished_jobs,
        "content": calibration.to_json(),
        "created_at": work.now,
    }
    await work.session.execute(insert(LearntCalibration).values(row).on_conflict_do_nothing())
