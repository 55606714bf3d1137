"""The requests of the protocol, and what each kind of refusal means."""

import dataclasses
import hashlib

import pytest

from trainer.errors import BadInput, BrokerAway, BrokerRefused, FencedOff
from trainer.protocol.client import BrokerClient, RemoteFile, read_run_environment


def test_claim_brings_the_assignment(client, broker) -> None:
    broker.config = {"base_model": "tiny"}
    assignment = client.claim()
    assert (assignment.config, assignment.checkpoint, assignment.next_sequence) == ({"base_model": "tiny"}, None, 0)


def test_download_checks_the_checksum_and_leaves_nothing_behind(client, broker, tmp_path) -> None:
    remote = client.claim().dataset
    client.download(remote, tmp_path / "good.tar")
    assert (tmp_path / "good.tar").read_bytes() == broker.dataset
    damaged = remote.model_copy(update={"sha256": hashlib.sha256(b"").hexdigest()})
    with pytest.raises(BrokerAway, match="SHA-256"):
        client.download(damaged, tmp_path / "bad.tar")
    assert not any("bad" in path.name for path in tmp_path.iterdir())


def test_a_withdrawn_token_and_a_stale_fence_mean_that_the_run_is_anothers(environment, broker) -> None:
    for changed in ({"run_token": "another"}, {"fence_token": 2}):
        client = BrokerClient(dataclasses.replace(environment, **changed))
        with pytest.raises(FencedOff):
            client.send_heartbeat(None, [])
        client.close()


def test_a_broker_that_is_away_or_failing_is_worth_another_try(client, broker, environment) -> None:
    broker.away_for, broker.failing_for = {"heartbeats"}, {"finish"}
    with pytest.raises(BrokerAway):
        client.send_heartbeat(None, [])
    with pytest.raises(BrokerAway):
        client.finish("failed", error=None, progress=None, usage=[])
    nobody = BrokerClient(dataclasses.replace(environment, broker_url="http://127.0.0.1:9"))
    with pytest.raises(BrokerAway):
        nobody.claim()
    nobody.close()


def test_another_refusal_and_an_answer_of_another_shape_are_final(client, broker) -> None:
    broker.on_finish = lambda _said: (422, b'{"type": "about:blank", "detail": "usage is wrong"}')
    with pytest.raises(BrokerRefused, match="usage is wrong"):
        client.finish("failed", error=None, progress=None, usage=[])
    broker.on_claim = lambda _said: (200, b"<html>")
    with pytest.raises(BrokerRefused, match="not understood"):
        client.claim()


def test_a_broker_of_another_protocol_is_told_by_what_to_update(client, broker) -> None:
    assert client.claim().protocol == 1, "a broker of before says none"
    said = b'{"type": "/problems/protocol-mismatch", "detail": "the trainer is older than the broker"}'
    broker.on_claim = lambda _said: (426, said)
    with pytest.raises(BrokerRefused, match="426 the trainer is older than the broker"):
        client.claim()


def test_a_broker_too_old_for_this_trainer_is_refused(client, monkeypatch) -> None:
    monkeypatch.setattr("trainer.protocol.client.OLDEST_PROTOCOL", 2)
    with pytest.raises(BrokerRefused, match="speaks worker protocol 1, this trainer 2 or later: update the broker"):
        client.claim()


def test_a_missing_file_is_refused_with_its_path(client, broker, tmp_path) -> None:
    broker.answer = lambda *_: (404, b"{}")
    with pytest.raises(BrokerRefused, match="/v1/runs/run_1/dataset: 404"):
        client.download(RemoteFile(url="/v1/runs/run_1/dataset", sha256="", size_bytes=0), tmp_path / "x")


def test_the_environment_is_checked_by_name() -> None:
    whole = {
        "LORA_BROKER_URL": "http://127.0.0.1:8000/",
        "LORA_RUN_ID": "run_1",
        "LORA_RUN_TOKEN": "t",
        "LORA_FENCE_TOKEN": "3",
        "LORA_WORK_DIR": "/tmp/w",
    }
    assert read_run_environment(whole).broker_url == "http://127.0.0.1:8000"
    for changed in ({"LORA_RUN_TOKEN": ""}, {"LORA_FENCE_TOKEN": "x"}, {"LORA_BROKER_URL": "localhost:8000"}):
        with pytest.raises(BadInput, match=next(iter(changed))):
            read_run_environment(whole | changed)


def test_a_large_file_goes_in_chunks_and_on_from_where_it_was_cut_off(environment, broker, tmp_path) -> None:
    file = tmp_path / "adapter.safetensors"
    file.write_bytes(bytes(range(250)) * 10)
    client = BrokerClient(environment, chunk_bytes=1000)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    client._send(f"chunks/{digest}", file.read_bytes()[:1000], digest, offset=0)
    broker.requests.clear()
    client.upload_result("adapter", file)
    client.close()
    assert broker.adapter == file.read_bytes()
    assert [request.split("?")[-1] for request in broker.requests] == [
        f"GET chunks/{digest}",
        "offset=1000",
        "offset=2000",
        "from_chunks=true",
    ]
