"""A labelling under the protocol: tokens as they were generated, stopped and gone on with, captions before the end."""

import io
import json
import tarfile

import pytest

from tests.trainer.checking.pictures import write_pictures
from trainer.commands.make_tiny import make_tiny
from trainer.errors import ExitCode
from trainer.protocol.assigned_labelling import LabelObserver
from trainer.protocol.worker import work_on
from trainer.stop import StopFlag, StopReason

PICTURES = 7


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    make_tiny("blip", folder / "tiny-blip")
    return folder


@pytest.fixture
def labelling(broker, models, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BASE_MODELS_DIR", str(models))
    write_pictures(tmp_path / "style", PICTURES, captions=False)
    (tmp_path / "style" / "000.txt").write_text("a person wrote this", encoding="utf-8")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in sorted((tmp_path / "style").iterdir()):
            tar.add(file, file.name)
    broker.dataset = packed.getvalue()
    broker.config = {"kind": "auto_label", "base_model": "tiny-blip", "max_tokens": 5, "batch_size": 2}
    return broker


@pytest.fixture
def run_here(client, environment):
    return lambda: work_on(client, client.claim(), environment, StopFlag())


def read_captions(labelling) -> dict[str, int]:
    return {each["name"]: each["tokens"] for each in json.loads(labelling.captions)["pictures"]}


def test_tokens_that_were_generated_are_on_the_books(labelling, run_here) -> None:
    assert run_here() == ExitCode.SUCCEEDED
    captions = read_captions(labelling)
    assert list(captions) == [f"00{number}.png" for number in range(1, PICTURES)]
    assert labelling.total("tokens") == sum(captions.values()) > 0
    finish = labelling.finishes[0]
    assert (finish["outcome"], finish["progress"]) == ("succeeded", {"step": 6, "total_steps": 6})
    assert labelling.requests.index("PUT captions") < labelling.requests.index("POST finish")
    assert {sample["prompt"] for sample in labelling.samples} >= {"001.png", "003.png"}


def test_a_stop_keeps_what_was_said_and_the_next_run_goes_on_behind_it(
    labelling, client, environment, monkeypatch, run_here
) -> None:
    stop, batch_done = StopFlag(), LabelObserver.batch_done

    def stop_behind_the_first(observer, labels, tokens, total) -> None:
        batch_done(observer, labels, tokens, total)
        stop.request(StopReason.PAUSE)

    with monkeypatch.context() as patched:
        patched.setattr(LabelObserver, "batch_done", stop_behind_the_first)
        assert work_on(client, client.claim(), environment, stop) == ExitCode.STOPPED
    assert (labelling.checkpoint[0], labelling.captions) == (2, None)
    labelling.finishes = []
    assert run_here() == ExitCode.SUCCEEDED
    assert labelling.total("tokens") == sum(read_captions(labelling).values())


def test_a_checkpoint_keeps_the_tokens_up_to_it(labelling, run_here) -> None:
    labelling.config |= {"save_steps": 2}
    assert run_here() == ExitCode.SUCCEEDED
    events = [labelling.events[number]["data"] for number in sorted(labelling.events)]
    marks = {event["checkpoint_step"]: place for place, event in enumerate(events) if event["checkpoint_step"]}
    assert list(marks) == [2, 4, 6]
    for step, content in labelling.checkpoints.items():
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            said = json.load(tar.extractfile("labels.json"))["pictures"]
        assert len(said) == step
        assert sum(each["tokens"] for each in said) == sum(event["tokens"] for event in events[: marks[step] + 1])


def test_without_the_models_files_it_says_where_they_belong(labelling, run_here) -> None:
    labelling.config |= {"base_model": "blip-base"}
    assert run_here() == ExitCode.BAD_INPUT
    error = labelling.finishes[0]["error"]
    assert error["code"] == "base_model_missing"
    assert "blip-base is no model folder" in error["message"]
