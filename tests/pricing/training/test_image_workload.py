"""The work of training on pictures, counted by hand."""

from typing import Any

import pytest

from pricing.catalog import get_base_model
from pricing.resources.method import describe_method
from pricing.resources.run_plan import plan_run
from pricing.training.buckets import Bucket
from pricing.training.config import TrainingConfig
from pricing.training.image_workload import TrainingPicture, count_positions, plan_image_workload
from pricing.training.workload import NoUsableRow, Workload


def pictures(*captions: int, size: tuple[int, int] = (512, 512), **facts: Any) -> list[TrainingPicture]:
    return [TrainingPicture(f"{number}", size, tokens, **facts) for number, tokens in enumerate(captions)]


def plan(rows: list[TrainingPicture], **keys: Any) -> Workload:
    config = TrainingConfig(base_model="sd-1.5", **{"batch_size": 2, "epochs": 1, **keys})
    return plan_image_workload(rows, config, resolution=512)


def test_tokens_are_those_of_the_captions_in_every_epoch():
    workload = plan(pictures(5, 7, 12), epochs=10)
    assert (workload.tokens, workload.steps, workload.samples, workload.rows) == (240, 20, 30, 3)
    assert workload.micro_batches == 20


def test_positions_are_those_of_the_latents_in_their_bucket():
    assert count_positions(Bucket(512, 512)) == 4096
    workload = plan(pictures(5, 5), epochs=3)
    assert (workload.positions, workload.longest) == (6 * 4096, 4096)
    wide = plan(pictures(5, size=(1024, 512)))
    assert (wide.positions, wide.longest) == (704 // 8 * 320 // 8, 88 * 40)


def test_the_resolution_of_the_configuration_counts_before_the_base_models():
    assert plan(pictures(5), resolution=256).longest == 1024


def test_a_picture_is_trained_as_often_as_its_folder_says_and_encoded_once():
    workload = plan(pictures(5, 7, repeats=10))
    assert (workload.rows, workload.tokens, workload.encoded_pictures) == (20, 120, 2)
    assert plan(pictures(5, 7, repeats=10), flip=True).encoded_pictures == 4


def test_there_are_as_many_regularisation_pictures_as_others_and_their_captions_count():
    prior = [TrainingPicture("r", (512, 512), 3, is_regularisation=True)]
    workload = plan(pictures(5, 7) + prior)
    assert (workload.rows, workload.tokens) == (4, 5 + 7 + 3 + 3)


def test_a_held_out_picture_is_held_out_with_all_its_copies_and_looked_at_once_an_epoch():
    workload = plan(pictures(5, 5, 5, 5, repeats=3), validation_split=0.25, epochs=2)
    assert (workload.rows, workload.tokens, workload.evaluated_positions) == (9, 90, 2 * 4096)


def test_files_of_equal_content_are_one_picture_when_it_is_held_out():
    workload = plan([TrainingPicture("same", (512, 512), 5)] * 4, validation_split=0.5)
    assert (workload.rows, workload.evaluated_positions) == (4, 0)


def test_a_dropped_caption_counts_the_two_tokens_of_an_empty_one():
    assert plan(pictures(5, 7, 12), caption_dropout=1.0, epochs=10).tokens == 2 * 30
    assert plan(pictures(12) * 1, caption_dropout=0.1, epochs=10).tokens == 9 * 12 + 2


def test_a_batch_of_two_shapes_goes_through_the_network_twice():
    rows = pictures(5, size=(512, 512)) + pictures(5, size=(1024, 512))
    assert plan(rows).micro_batches == 2
    assert plan(rows, aspect_buckets=False).micro_batches == 1
    assert plan(rows, batch_size=1).micro_batches == 2


def test_pictures_are_encoded_once_however_long_the_training_is():
    profile, works = get_base_model("sd-1.5"), []
    for epochs in (1, 10):
        config = TrainingConfig(base_model="sd-1.5", epochs=epochs)
        workload = plan_image_workload(pictures(5, 7, repeats=3), config, resolution=512)
        method = describe_method(profile, config, "bf16", checkpointing=False)
        works.append(plan_run(profile, config, workload, method))
    encoding = profile.costs.encode_flops.at(4096) + profile.costs.text_flops
    assert [work.prepared_flops for work in works] == [pytest.approx(2 * encoding)] * 2


def test_without_a_picture_there_is_nothing_to_train_on():
    with pytest.raises(NoUsableRow):
        plan([])
    with pytest.raises(NoUsableRow):
        plan(pictures(5, is_regularisation=True))
