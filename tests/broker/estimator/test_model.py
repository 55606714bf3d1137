"""What a finished job tells the calibration of its quoted p90."""

from dataclasses import replace

from broker.estimator.model import read_finished_runs
from broker.jobs.reading import history
from broker.system import System
from pricing.calibration.calibration import FEWEST_RESIDUALS
from tests.broker.estimator.test_watch import run_job
from tests.broker.factories import Api, make_ready_customer


async def test_a_job_tells_whether_it_kept_a_p90_whose_width_was_learnt(api: Api, system: System) -> None:
    await run_job(api, system, await make_ready_customer(api), times_p50=1.0)
    async with system.work() as work:
        [first] = await history.list_finished_jobs(work, latest=1)
    p90 = first.estimate.gpu_seconds.p90
    learnt = replace(first, estimate=replace(first.estimate, calibration_runs=FEWEST_RESIDUALS))
    jobs = [
        first,
        replace(learnt, gpu_seconds=p90),
        replace(learnt, gpu_seconds=p90 + 1),
        replace(learnt, gpu_seconds=p90, has_ended=False),
    ]
    assert [run.kept_p90 for run in read_finished_runs(jobs)] == [None, True, False, False]
