"""Which record tells of what, and what an event says; each type is told by some record and described in OpenAPI."""

from collections.abc import Mapping
from typing import Any

import pytest

from broker.contracts.keeping.events import ContractEventKind
from broker.webhooks.documented import TEXTS
from broker.webhooks.model import CHOICES, RECORDS, EventType, Happening, Source, list_records, list_types, make_data

STOPPED = {"run_id": "run_1", "explanation": "it was told to stop"}


def tell(source: str, kind: str, **facts: Any) -> Happening:
    return Happening(Source(source), kind, f"{source}_1", facts)


@pytest.mark.parametrize(
    ("happening", "types"),
    [
        (tell("job", "started", attempt=1), ["job.started"]),
        (tell("job", "run_succeeded", cause="succeeded", job_status="succeeded"), ["job.ended"]),
        (tell("job", "run_failed", cause="bad_input", job_status="failed"), ["job.ended"]),
        (tell("job", "cancelled"), ["job.ended"]),
        (tell("job", "run_preempted", cause="preempted", job_status="queued"), ["job.preempted"]),
        (tell("job", "run_lost", cause="machine_lost", job_status="queued"), ["job.preempted"]),
        (tell("job", "run_stopped", cause="limit", job_status="paused"), ["job.paused", "limit.reached"]),
        (tell("job", "run_stopped", cause="budget", job_status="paused"), ["job.paused", "budget.reached"]),
        (tell("job", "paused", reason="balance"), ["job.paused", "balance.reached"]),
        (tell("job", "paused", reason="pause"), ["job.paused"]),
        (tell("job", "start_slipped", told="2026-11-24"), ["job.start_slipped"]),
        (tell("job", "announced", pool="a100"), ["maintenance.announced"]),
        (tell("job", "sampled"), []),
        (tell("contract", "money_ending", days_left=3), ["balance.ending"]),
        (tell("contract", "signed"), []),
        (tell("invoice", "issued"), ["invoice.issued"]),
        (tell("adapter", "created"), ["adapter.created"]),
    ],
    ids=lambda value: value.kind if isinstance(value, Happening) else " ".join(value),
)
def test_what_a_record_tells(happening: Happening, types: list[str]) -> None:
    assert [kind.value for kind in list_types(happening)] == types
    assert set(types) <= {kind.value for kind in CHOICES}
    noted = f"{happening.source.value}:{happening.kind}"
    assert all(noted in list_records([EventType(kind)]) for kind in types), "the trigger notes it for whoever listens"


def test_each_type_is_told_by_a_record_and_described() -> None:
    assert set(RECORDS) == set(CHOICES)
    assert set(TEXTS) == set(EventType)
    contract_kinds = {record.partition(":")[2] for record in list_records(CHOICES) if record.startswith("contract:")}
    assert contract_kinds <= {kind.value for kind in ContractEventKind}


@pytest.mark.parametrize(
    ("happening", "data"),
    [
        (
            tell("job", "run_stopped", cause="limit", job_status="paused", **STOPPED),
            {"job_id": "job_1", "project_id": "prj_1", "run_id": "run_1", "cause": "limit", "status": "paused"},
        ),
        (
            tell("job", "paused", reason="budget"),
            {"job_id": "job_1", "project_id": "prj_1", "cause": "budget", "status": "paused"},
        ),
        (
            tell("contract", "budget_used", month="2026-11", percent=80, used="8.00", budget="10.00"),
            {"contract_id": "contract_1", "month": "2026-11", "percent": 80},
        ),
    ],
    ids=["limit", "budget", "share of a budget"],
)
def test_an_event_tells_ids_and_few_words(happening: Happening, data: Mapping[str, Any]) -> None:
    assert make_data(happening, "prj_1") == data
