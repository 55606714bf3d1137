"""The heartbeat: what was used arrives once, whatever happens to the connection."""

import threading
from datetime import UTC, datetime

import pytest

from trainer.errors import BrokerAway
from trainer.protocol.heartbeat import Heartbeat, read_stop_reason
from trainer.protocol.meter import Meter
from trainer.protocol.usage_spool import UsageSpool
from trainer.stop import StopFlag, StopReason


@pytest.fixture
def meter() -> Meter:
    return Meter(1, started_at=datetime(2026, 11, 24, 10, tzinfo=UTC))


@pytest.fixture
def stop() -> StopFlag:
    return StopFlag()


@pytest.fixture
def fenced() -> threading.Event:
    return threading.Event()


@pytest.fixture
def heartbeat(client, meter, stop, fenced, tmp_path):
    spool = UsageSpool(tmp_path / "spool", "run_1", 0)
    return Heartbeat(client, meter, spool, stop, interval_seconds=0.02, on_fenced=lambda _error: fenced.set())


def test_the_first_beat_goes_out_at_once(heartbeat, broker) -> None:
    heartbeat._interval_seconds = 60
    heartbeat.start()
    broker.wait_for(lambda: broker.heartbeats, timeout=5)
    heartbeat.close()
    nothing = {"progress": None, "usage": [], "validations": [], "samples": [], "losses": []}
    assert broker.heartbeats[0] == {"fence_token": 3, **nothing}


def test_observations_wait_until_a_heartbeat_has_told_them(heartbeat, broker) -> None:
    broker.away_for = {"heartbeats"}
    heartbeat.observations.add_validation(step=4, loss=2.5, advice="overfitting: …")
    heartbeat.observations.add_text(step=4, prompt="tea?", text="calm\0")
    with pytest.raises(BrokerAway):
        heartbeat.beat()
    broker.away_for = set()
    heartbeat.beat()
    heartbeat.beat()
    assert broker.validations == [{"step": 4, "loss": 2.5, "advice": "overfitting: …"}]
    assert broker.samples == [{"step": 4, "prompt": "tea?", "text": "calm\N{REPLACEMENT CHARACTER}"}]
    assert [len(beat["validations"]) for beat in broker.heartbeats] == [1, 0]


def test_many_observations_go_out_in_several_requests_and_the_rest_is_left_for_finish(heartbeat, broker) -> None:
    for step in range(40):
        heartbeat.observations.add_text(step=step, prompt="tea?", text="calm")
    heartbeat.deliver_rest()
    assert [len(beat["samples"]) for beat in broker.heartbeats] == [16, 16, 8]
    heartbeat.observations.add_text(step=40, prompt="tea?", text="calm")
    heartbeat.deliver_rest()
    assert len(broker.heartbeats) == 3
    assert [observation["step"] for observation in heartbeat.observations.list_pending()["samples"]] == [40]


def test_the_heartbeat_knows_what_the_job_has_cost(heartbeat) -> None:
    assert heartbeat.cost_so_far is None
    heartbeat.beat()
    assert (heartbeat.cost_so_far.amount, heartbeat.cost_so_far.currency) == ("1.30", "CNY")


def test_usage_that_is_not_charged_is_told_in_the_log(heartbeat, broker, capsys) -> None:
    broker.quarantined = [{"sequence": 7, "reason": "overlaps", "message": "It overlaps its neighbour."}]
    heartbeat.beat()
    assert "usage interval 7 is kept but not charged: It overlaps its neighbour." in capsys.readouterr().out


def test_tokens_arrive_once_though_answers_get_lost(heartbeat, broker, meter, client) -> None:
    heartbeat.start()
    for _ in range(20):
        meter.add_tokens(10)
        seen = len(broker.heartbeats)
        broker.lose_next_answer = True
        broker.wait_for(lambda seen=seen: len(broker.heartbeats) > seen)
    broker.wait_for(lambda: broker.total("tokens") == 200)
    heartbeat.close()
    client.finish("succeeded", error=None, progress=None, usage=heartbeat.deliver_rest())
    assert broker.total("tokens") == 200


def test_usage_waits_on_disk_while_the_broker_is_away(heartbeat, broker, meter, tmp_path, capsys) -> None:
    broker.away_for = {"heartbeats"}
    heartbeat.start()
    for tokens in (5, 6, 7):
        seen = len(broker.requests)
        meter.add_tokens(tokens)
        while len(broker.requests) < seen + 2:
            threading.Event().wait(0.01)
    assert len(list((tmp_path / "spool").iterdir())) >= 1
    broker.away_for = set()
    broker.wait_for(lambda: broker.total("tokens") == 18)
    heartbeat.close()
    assert list((tmp_path / "spool").iterdir()) == []
    said = capsys.readouterr().out
    assert said.count("does not take heartbeats") == 1
    assert said.count("takes heartbeats again") == 1


def test_a_long_absence_is_delivered_in_several_requests(heartbeat, broker, meter, monkeypatch) -> None:
    monkeypatch.setattr("trainer.protocol.heartbeat.EVENTS_IN_ONE_REQUEST", 4)
    for tokens in range(1, 11):
        meter.add_tokens(tokens)
        heartbeat.keep_usage()
    assert heartbeat.deliver_rest() == []
    assert [len(beat["usage"]) for beat in broker.heartbeats] == [4, 4, 2]


def test_training_and_heartbeat_cut_without_gap_overlap_or_loss(heartbeat, broker, meter) -> None:
    """A checkpoint is cut by the training's thread while beats cut by theirs."""
    heartbeat._interval_seconds = 0.001
    heartbeat.start()
    for step in range(1, 101):
        meter.add_tokens(1)
        heartbeat.keep_usage(step)
    heartbeat.close()
    heartbeat.beat()
    events = [broker.events[sequence]["data"] for sequence in sorted(broker.events)]
    assert [data["checkpoint_step"] for data in events if data["checkpoint_step"]] == list(range(1, 101))
    assert sum(data["tokens"] for data in events) == 100
    assert [data["started_at"] for data in events[1:]] == [data["ended_at"] for data in events[:-1]]


@pytest.mark.parametrize("reason", ["cancel", "pause", "limit", "balance", "budget", "contract_ended", "arrears"])
def test_a_stop_command_raises_the_flag(heartbeat, broker, stop, reason) -> None:
    broker.stop_reason = reason
    heartbeat.beat()
    assert stop.reason is StopReason(reason)


def test_a_reason_of_a_later_version_keeps_the_checkpoint() -> None:
    assert read_stop_reason("maintenance") is StopReason.PAUSE
    assert read_stop_reason(None) is StopReason.PAUSE


def test_a_stale_fence_ends_the_run_and_nothing_more_is_said(heartbeat, broker, fenced) -> None:
    heartbeat.start()
    broker.wait_for(lambda: broker.heartbeats)
    broker.fence = 4
    assert fenced.wait(5)
    said = len(broker.requests)
    heartbeat.close()
    assert len(broker.requests) == said
