"""How good the estimates were, over the API: for ops, and for nobody else."""

from broker.system import System
from tests.broker.estimator.test_watch import run_job
from tests.broker.factories import Api, make_ready_customer, staff_key


async def test_before_a_job_has_finished_there_is_no_accuracy(api: Api) -> None:
    report = await api.get("/reports/estimator-accuracy")
    assert report["overall"] is None
    assert report["runs"] == []


async def test_accuracy_holds_every_judged_job(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await run_job(api, system, customer, times_p50=1.0)
    report = await api.get("/reports/estimator-accuracy")
    assert report["overall"]["band"] == "unjudged"
    assert report["overall"]["p90"]["share"] == 1.0
    (run,) = report["runs"]
    assert run["job_id"] == job["id"]
    assert run["actual"] == run["p50"] == job["estimate"]["gpu_seconds"]["p50"]


async def test_accuracy_is_for_ops_and_the_administrator_only(api: Api) -> None:
    async with Api.connect(api.app, await staff_key(api, "ops")) as ops:
        await ops.get("/reports/estimator-accuracy")
    async with Api.connect(api.app, await staff_key(api, "finance")) as finance:
        await finance.get("/reports/estimator-accuracy", expect=403)
