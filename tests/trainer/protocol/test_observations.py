"""Observations of a run: what goes to the broker fits into its fields."""

import base64
import io
import math

import numpy as np
from PIL import Image

from broker.workers.schemas import LossIn, SampleIn, ValidationIn
from trainer.protocol.observations import KEPT, PendingObservations


def test_a_picture_goes_out_small_and_in_shape(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    observations = PendingObservations()
    observations.add_picture(step=3, prompt="a lighthouse", file=tmp_path / "a.png")
    sample = SampleIn.model_validate(observations.list_pending()["samples"][0])
    content = base64.b64decode(sample.image.partition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (256, 128)


def test_the_worst_picture_text_and_loss_are_taken_by_the_broker(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    observations = PendingObservations()
    observations.add_picture(step=1, prompt="x" * 9000, file=tmp_path / "a.png")
    observations.add_text(step=1, prompt="y", text="\ud800\0" * 9000)
    observations.add_validation(step=1, loss=math.nan, advice="z" * 9000)
    told = observations.list_pending()
    assert all(SampleIn.model_validate(observation) for observation in told["samples"])
    assert ValidationIn.model_validate(told["validations"][0]).loss is None


def test_of_a_broker_that_stays_away_the_newest_are_kept() -> None:
    observations = PendingObservations()
    for step in range(KEPT + 5):
        observations.add_validation(step=step, loss=1.0, advice=None)
    assert observations.list_pending()["validations"][0]["step"] == 5


def test_losses_between_two_heartbeats_are_one_with_its_spike() -> None:
    observations = PendingObservations()
    for step, loss in enumerate((2.0, 9.0, 1.0), start=1):
        observations.add_loss(step=step, loss=loss)
    observations.add_loss(step=4, loss=math.nan)
    told = observations.list_pending()
    assert told["losses"] == [{"first_step": 1, "step": 3, "mean": 4.0, "low": 1.0, "high": 9.0}]
    observations.add_loss(step=5, loss=3.0)
    observations.forget(told)
    assert LossIn.model_validate(observations.list_pending()["losses"][0]).first_step == 5


def test_of_a_broker_that_stays_away_no_loss_is_forgotten() -> None:
    observations = PendingObservations()
    for step in range(1, 500):
        observations.add_loss(step=step, loss=float(step))
        observations.list_pending()
    while told := observations.list_pending()["losses"]:
        last = told[-1]
        observations.forget({"losses": told})
    assert last["high"] == 499.0
    assert last["step"] == 499
