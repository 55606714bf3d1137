"""Subjects of events: read together, however many there are, and each led to its own contract."""

from typing import Any

from sqlalchemy import event

from broker.metering.outside.measured import MeasuredEvent
from broker.metering.outside.places import Place, Places, read_places
from broker.system import System
from tests.broker.factories import Api
from tests.broker.metering.sources import open_meter
from tests.broker.running_jobs import start_job

SUBJECTS = 8


async def read(system: System, told: list[dict[str, Any]]) -> tuple[Places, int]:
    """Read the places of events; tells how many statements that took, too."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    engine = system.database.engine.sync_engine
    async with system.work() as work:
        event.listen(engine, "before_cursor_execute", note)
        try:
            found = await read_places(work, [MeasuredEvent.model_validate(each) for each in told])
        finally:
            event.remove(engine, "before_cursor_execute", note)
    return found, len(statements)


async def test_many_subjects_take_as_many_statements_as_few(api: Api, system: System) -> None:
    async with open_meter(api) as meter:
        subjects = []
        for number in range(SUBJECTS):
            project = await api.post("/projects", {"name": f"p{number}", "customer_id": meter.customer.id}, expect=201)
            job = await start_job(system, meter.customer, project_id=project["id"], gpu_seconds=1, tokens=1)
            subjects += [project["id"], job.id]
        told = [meter.event(str(number), subject=subject) for number, subject in enumerate([*subjects, "job_nobody"])]
        _found, of_few = await read(system, told[:2])
        found, of_many = await read(system, told)
        assert of_many == of_few
        places = [found.find(MeasuredEvent.model_validate(each)) for each in told]
    assert [place.project_id for place in places[:-1] if isinstance(place, Place)] == [
        project for project in subjects[::2] for _job in range(2)
    ]
    assert not isinstance(places[-1], Place)
