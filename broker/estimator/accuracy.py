"""How good the estimates of finished jobs were: of all customers together, by the latest of them."""

from broker.estimator.model import to_judged_run
from broker.jobs.reading import history
from broker.work import Work
from pricing.calibration.accuracy import AccuracyReport, judge_runs

# Enough that a right p90 seldom leaves its band by chance, few enough that old estimators are soon forgotten.
LATEST_JUDGED = 200
MOST_JUDGED = 10_000


async def judge_estimates(work: Work, *, latest: int = LATEST_JUDGED) -> AccuracyReport | None:
    """Judge the estimates of the latest finished jobs of all customers; None where no job has finished yet."""
    return judge_runs([to_judged_run(job) for job in await history.list_judged_jobs(work, latest=latest)])
