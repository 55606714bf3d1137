"""What is quoted for pictures is what the trainer trains."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.training.buckets import choose_bucket
from pricing.training.caption_dropout import EMPTY_CAPTION_TOKENS, plan_caption_dropout
from pricing.training.config import TrainingConfig
from pricing.training.image_workload import TrainingPicture, plan_image_workload, repeat_pictures
from pricing.training.step_plan import hold_out_copies, plan_steps
from tests.trainer.conftest import draw_pictures
from trainer.base_models.config import resolve_base_model
from trainer.data.tensor_cache import hash_file
from trainer.families.registry import read_dataset
from trainer.families.stable_diffusion.batch import ImageExample
from trainer.families.stable_diffusion.clip_text import Caption, ClipTokenizer
from trainer.stop import StopFlag
from trainer.training import session
from trainer.training.optimizer_step import cut_into_batches
from trainer.training.recipe import choose_examples

SIZES = [(512, 512), (1024, 512), (500, 900), (520, 500)]
CONTENTS = [(f"{letter}{size}", size) for letter in "abc" for size in SIZES]
PICTURES = st.lists(
    st.builds(
        lambda content, **facts: TrainingPicture(*content, **facts),
        st.sampled_from(CONTENTS),
        caption_tokens=st.integers(2, 77),
        repeats=st.integers(1, 4),
        is_regularisation=st.booleans(),
    ),
    min_size=1,
    max_size=12,
).filter(lambda rows: any(not row.is_regularisation for row in rows))
CONFIGS = st.builds(
    TrainingConfig,
    base_model=st.just("sd-1.5"),
    batch_size=st.integers(1, 4),
    gradient_accumulation=st.integers(1, 3),
    epochs=st.integers(1, 5),
    max_steps=st.none() | st.integers(1, 30),
    validation_split=st.sampled_from([0.0, 0.1, 0.5]),
    caption_dropout=st.sampled_from([0.0, 0.1, 0.35, 1.0]),
    aspect_buckets=st.booleans(),
    seed=st.integers(0, 3),
)


def make_example(picture: TrainingPicture, config: TrainingConfig) -> ImageExample:
    """As the family makes it: latents are keyed by content and bucket."""
    bucket = choose_bucket(*picture.size, 512, keep_aspect=config.aspect_buckets)
    caption = Caption(tuple(range(picture.caption_tokens)))
    shape = (bucket.height // 8, bucket.width // 8)
    return ImageExample(picture.source, caption, 1.0, shape, picture.is_regularisation)


@given(PICTURES, CONFIGS)
def test_steps_and_tokens_are_those_of_the_recipes_walk(pictures, config) -> None:
    quoted = plan_image_workload(pictures, config, resolution=512)
    examples = [make_example(picture, config) for picture in repeat_pictures(pictures)]
    rows, _ = hold_out_copies([example.source for example in examples], config)
    trained = [examples[row] for row in rows]
    plan = plan_steps(len(trained), config, groups=[example.shape for example in trained])
    dropout = plan_caption_dropout(len(trained), config)
    steps = [
        choose_examples(trained, plan.rows_of(step), dropout, plan.epoch_of(step)) for step in range(plan.total_steps)
    ]
    seen = [example for step in steps for example in step]
    batches = [batch for step in steps for batch in cut_into_batches(step, config.batch_size)]
    assert (quoted.steps, quoted.samples) == (len(steps), len(seen))
    assert quoted.tokens == sum(len(example.caption.token_ids) for example in seen)
    assert quoted.positions == sum(height * width for height, width in (example.shape for example in seen))
    if plan.count_epochs() == 1 or not plan.groups:
        assert quoted.micro_batches == sum(len({each.shape for each in batch}) for batch in batches)


@given(PICTURES, CONFIGS.filter(lambda config: config.gradient_accumulation > 1))
def test_a_smaller_batch_with_more_accumulation_trains_the_quoted_rows(pictures, config) -> None:
    """Past fault: grouping by the batch, so `auto_fit` and a resume changed which pictures a step has."""
    small = config.model_copy(update={"batch_size": 1, "gradient_accumulation": config.rows_per_step})
    shapes = [make_example(picture, config).shape for picture in repeat_pictures(pictures)]
    plans = [plan_steps(len(shapes), each, groups=shapes) for each in (config, small)]
    for step in range(plans[0].total_steps):
        assert plans[0].rows_of(step) == plans[1].rows_of(step)
    quotes = [plan_image_workload(pictures, each, resolution=512) for each in (config, small)]
    assert (quotes[0].steps, quotes[0].tokens) == (quotes[1].steps, quotes[1].tokens)


def test_steps_hold_one_shape_as_far_as_they_go() -> None:
    shapes = [(8, 8)] * 9 + [(4, 16)] * 6
    config = TrainingConfig(base_model="sd-1.5", batch_size=2, gradient_accumulation=2, epochs=1)
    plan = plan_steps(15, config, groups=shapes)
    mixed = [len({shapes[row] for row in plan.rows_of(step)}) for step in range(plan.total_steps)]
    assert sorted(mixed) == [1, 1, 1, 2]


def test_an_empty_caption_has_two_tokens() -> None:
    assert len(ClipTokenizer.load().encode("").token_ids) == EMPTY_CAPTION_TOKENS


@pytest.mark.usefixtures("picture_cache")
def test_a_real_training_ends_with_the_quoted_tokens(tiny_sd15: Path, tmp_path: Path, recorder: Any) -> None:
    draw_pictures(tmp_path / "data" / "3_disc on noise", count=5)
    draw_pictures(tmp_path / "reg", count=3)
    config = TrainingConfig(
        base_model=str(tiny_sd15),
        train_data_dir=str(tmp_path / "data"),
        reg_data_dir=str(tmp_path / "reg"),
        output_dir=str(tmp_path / "output"),
        resolution=64,
        batch_size=2,
        gradient_accumulation=2,
        epochs=3,
        max_steps=16,
        validation_split=0.2,
        caption_dropout=0.3,
        lora_rank=2,
    )
    source = resolve_base_model(config.base_model)
    dataset: Any = read_dataset(config, source)
    counted = [len(ClipTokenizer.load().encode(row.caption).token_ids) for row in dataset.rows]
    pictures = [
        TrainingPicture(hash_file(row.path), row.size, tokens, row.repeats, row.is_regularisation)
        for row, tokens in zip(dataset.rows, counted, strict=True)
    ]
    quoted = plan_image_workload(pictures, config, resolution=512)
    finished = session.run_training(config, source, dataset, observer=recorder(), stop=StopFlag())
    assert (finished.result.steps, finished.result.tokens) == (quoted.steps, quoted.tokens)
