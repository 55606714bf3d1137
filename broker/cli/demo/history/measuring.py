"""Usage of a history from outside of its runs: inference of finished adapters, late and wrong events among it."""

from datetime import timedelta
from typing import Any

from broker.cli.demo.history.house import MADE_UP
from broker.cli.demo.history.plot import METER
from broker.cli.demo.history.scene import Scene

SOURCE = "/inference/made-up"
INFERRING = ("lantern", "tidewater", "northlight", "kiln")
REPORTED_EVERY, EVENTS_A_DAY = 4, 6
LATE_DAYS = 4


async def register_meter(scene: Scene) -> None:
    source = {"source": SOURCE, "name": f"inference of finished adapters ({MADE_UP})"}
    await scene.ops.post("/usage-sources", source)


async def report_day(scene: Scene) -> None:
    """Report a day's tokens of each customer, a few of them late; now and then one of a contract that there is not."""
    today = scene.house.clock.now
    lot = scene.house.lot_of("inference", today.isoformat())
    events = []
    for key in INFERRING:
        for number in range(EVENTS_A_DAY):
            late = timedelta(days=LATE_DAYS) if lot.random() < 0.05 else timedelta(0)
            at = max(scene.span.begin + timedelta(days=2), today - late - timedelta(hours=number))
            name = f"{key}-{today:%Y%m%d}-{number}"
            events.append(_event(name, scene.contract_of(key)["id"], at, lot.randrange(2_000, 60_000)))
    if lot.random() < 0.1:
        events.append(_event(f"stray-{today:%Y%m%d}", "con_unknown", today, 700))
    await scene.house.staff[METER].post("/usage-events", events)


def _event(name: str, contract_id: str, at: Any, tokens: int) -> dict[str, Any]:
    attributes = {"specversion": "1.0", "type": "lora.usage.measured", "id": name, "source": SOURCE}
    data = {"meter": "tokens", "quantity": tokens, "labels": {"made_up": "yes", "team": "inference"}}
    return {**attributes, "subject": contract_id, "time": at.isoformat(), "data": data}


async def correct_runs(scene: Scene) -> None:
    """Correct some intervals of runs, those of closed months too: a clock was wrong, in our favour or in theirs."""
    now, courses = scene.house.clock.now, [*scene.submitting.courses.values()]
    lot = scene.house.lot_of("corrections", now.isoformat())
    reported = [each for course in lot.sample(courses, min(4, len(courses))) for each in course.reported[:1]]
    for run_id, sequence, gpu_seconds in reported:
        data: dict[str, Any] = {
            "corrects": f"{run_id}/{sequence}",
            "reason": f"the clock of the machine was wrong ({MADE_UP})",
        }
        data["gpu_seconds"] = gpu_seconds * lot.choice((8, 9)) // 10
        named = {"specversion": "1.0", "type": "lora.usage.correction", "id": f"correction-{run_id}"}
        event = {**named, "source": f"/runs/{run_id}", "time": now.isoformat(), "data": data}
        await scene.ops.post("/usage-events", [event])


async def decide_quarantine(scene: Scene) -> None:
    """Dismiss what belongs to nobody, but for the newest, which waits for a decision."""
    waiting = await scene.finance.list_all("/quarantined-usage", status="open")
    for each in waiting[1:]:
        reason = {"reason": f"no such contract; the sender was told ({MADE_UP})"}
        await scene.finance.post(f"/quarantined-usage/{each['id']}/dismiss", reason)


def plan_measuring(scene: Scene) -> None:
    """Plan a report every other night, corrections at each month's end, and decisions before a month is closed."""
    scene.on_day(1, 9, register_meter)
    for day in range(2, scene.span.days, REPORTED_EVERY):
        scene.on_day(day, 22, report_day)
    for day in range(30, scene.span.days, 31):
        scene.on_day(day + 7, 13, correct_runs)
        scene.on_day(day + 1, 15, decide_quarantine)
