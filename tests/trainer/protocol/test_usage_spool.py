"""Usage that waits for the broker survives the process, and is delivered once."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trainer.protocol.meter import UsageInterval
from trainer.protocol.usage_spool import UsageSpool

START = datetime(2026, 11, 24, 10, tzinfo=UTC)


def interval(tokens: int) -> UsageInterval:
    return UsageInterval(START, START + timedelta(seconds=2), gpu_seconds=2, tokens=tokens)


def sequences(spool: UsageSpool) -> list[int]:
    return [event["data"]["sequence"] for event in spool.list_pending(100)]


def test_an_event_is_a_cloudevent_of_its_interval(tmp_path) -> None:
    spool = UsageSpool(tmp_path, "run_9", 4)
    spool.append(interval(1024))
    assert spool.list_pending(1) == [
        {
            "specversion": "1.0",
            "id": "run_9/4",
            "source": "/runs/run_9",
            "type": "lora.usage.interval",
            "subject": "run_9",
            "time": "2026-11-24T10:00:02.000000Z",
            "datacontenttype": "application/json",
            "data": {
                "sequence": 4,
                "started_at": "2026-11-24T10:00:00.000000Z",
                "ended_at": "2026-11-24T10:00:02.000000Z",
                "gpu_seconds": 2,
                "tokens": 1024,
                "checkpoint_step": None,
            },
        }
    ]


def test_an_event_names_the_checkpoint_at_its_end(tmp_path) -> None:
    spool = UsageSpool(tmp_path, "run_9", 0)
    spool.append(replace(interval(0), checkpoint_step=100))
    assert spool.list_pending(1)[0]["data"]["checkpoint_step"] == 100


def test_what_is_acknowledged_is_forgotten_and_what_is_not_survives_the_process(tmp_path) -> None:
    spool = UsageSpool(tmp_path, "run_1", 0)
    for tokens in range(4):
        spool.append(interval(tokens))
    spool.acknowledge(1)
    assert [json.loads(path.read_text())["data"]["sequence"] for path in sorted(tmp_path.iterdir())] == [2, 3]

    again = UsageSpool(tmp_path, "run_1", 2)
    again.append(interval(9))
    assert sequences(again) == [2, 3, 4]
    assert [event["data"]["tokens"] for event in again.list_pending(100)] == [2, 3, 9]


def test_what_the_broker_has_by_the_time_of_the_claim_is_not_sent_again(tmp_path) -> None:
    spool = UsageSpool(tmp_path, "run_1", 0)
    for tokens in range(3):
        spool.append(interval(tokens))
    again = UsageSpool(tmp_path, "run_1", 3)
    assert (sequences(again), list(tmp_path.iterdir())) == ([], [])
    again.append(interval(7))
    assert sequences(again) == [3]


def test_a_full_disk_does_not_lose_usage(tmp_path, monkeypatch) -> None:
    spool = UsageSpool(tmp_path, "run_1", 0)

    def no_space(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.protocol.usage_spool.writing_file", no_space)
    with pytest.raises(OSError, match="No space left"):
        spool.append(interval(5))
    assert sequences(spool) == [0]
