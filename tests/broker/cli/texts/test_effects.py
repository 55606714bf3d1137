"""What a change does to jobs, in sentences; pure."""

from typing import Any, cast

from broker.cli.texts.effects import describe_effects
from broker.client.objects.values import Effects


def test_change_tells_whom_it_strands_who_stops_and_whom_it_frees() -> None:
    effects: dict[str, Any] = {
        "warnings": [{"message": "1 waiting job can never start: job_1\n"}],
        "stopping": ["job_2"],
        "freed_job_ids": [f"job_{number}" for number in range(6)],
        "frees": 6,
    }
    assert describe_effects(cast("Effects", effects)) == [
        "Warning: 1 waiting job can never start: job_1",
        "Beyond the lowered limit, these save and wait again: job_2.",
        "6 waiting jobs can start now: job_0, job_1, job_2, job_3, job_4, ….",
    ]


def test_broker_of_before_tells_no_effects() -> None:
    assert describe_effects({}) == []
