"""A check under the protocol: what `trainer check` finds, in pictures and in text, is handed in before the end."""

import io
import json
import tarfile

import pytest
from PIL import Image

from trainer.errors import ExitCode
from trainer.protocol.worker import work_on
from trainer.stop import StopFlag


@pytest.fixture
def run_here(client, environment, broker):
    broker.config = {"kind": "check", "base_model": "check", "default_caption": None}
    return lambda: work_on(client, client.claim(), environment, StopFlag())


def test_near_duplicates_of_pictures_are_found(broker, run_here, tmp_path) -> None:
    packed = io.BytesIO()
    picture = Image.effect_noise((600, 600), 90).convert("RGB")
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, size in (("a.png", (600, 600)), ("b.png", (560, 560))):
            picture.resize(size).save(tmp_path / name)
            tar.add(tmp_path / name, name)
    broker.dataset = packed.getvalue()
    assert run_here() == ExitCode.SUCCEEDED
    report = json.loads(broker.report)
    assert report["figures"]["pictures"] == 2
    told = {each["message"] for each in report["findings"] if each["file"] == "b.png"}
    assert any("nearly the same picture as a.png" in message for message in told)
    assert broker.finishes[0]["progress"] == {"step": 1, "total_steps": 1}
    assert broker.total("tokens") == 0
    assert broker.requests.index("PUT report") < broker.requests.index("POST finish")


def test_rows_of_text_are_judged(broker, run_here) -> None:
    assert run_here() == ExitCode.SUCCEEDED
    assert json.loads(broker.report)["figures"]["rows"] > 0
