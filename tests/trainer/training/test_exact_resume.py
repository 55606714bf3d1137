"""Resuming is exact (difference 0.0) with everything on that draws random numbers or keeps state."""

import pytest
import torch

from trainer.errors import CheckpointUnusable

pytestmark = pytest.mark.slow


@pytest.fixture
def everything_on(tiny_config):
    """Accumulation, dropout, shuffling, packing, validation and samples, over 40 steps."""
    return tiny_config.model_copy(
        update={
            "gradient_accumulation": 2,
            "epochs": 20,
            "max_steps": 40,
            "validation_split": 0.2,
            "sample_prompts": ("tea 3?",),
            "save_steps": 7,
            "lora_dropout": 0.1,
        }
    )


@pytest.fixture(scope="module")
def whole_runs():
    """Train the runs without a break, each trained once: observer, result and family by packing."""
    return {}


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("stop_after", [3, 20, 33])
def test_forty_steps_with_a_break_differ_by_nothing(
    train_tiny, recorder, everything_on, whole_runs, stop_after, packing
) -> None:
    config = everything_on.model_copy(update={"packing": packing})
    if packing not in whole_runs:
        observer = recorder()
        whole_runs[packing] = observer, *train_tiny(observer, config=config)
    whole, whole_result, whole_family = whole_runs[packing]
    first, second = recorder(stop_after=stop_after), recorder()
    stopped, _ = train_tiny(first, config=config)
    torch.manual_seed(999)
    resumed, resumed_family = train_tiny(second, config=config, resume_from=stopped.checkpoint)

    assert whole_result.steps == 40
    assert max(abs(a - b) for a, b in zip(first.losses + second.losses, whole.losses, strict=True)) == 0.0
    assert first.validations + second.validations == whole.validations
    assert first.samples + second.samples == whole.samples
    assert resumed.tokens == whole_result.tokens
    adapter, again = whole_family.adapter_tensors(), resumed_family.adapter_tensors()
    assert all(torch.equal(adapter[name], again[name]) for name in adapter)


@pytest.mark.parametrize("optimizer", ["lion", "prodigy", "adafactor", "schedule-free"])
def test_every_optimizer_resumes_exactly(train_tiny, recorder, tiny_config, optimizer) -> None:
    config = tiny_config.model_copy(update={"optimizer": optimizer, "learning_rate": 1e-2})
    whole, first, second = recorder(), recorder(stop_after=7), recorder()
    _, whole_family = train_tiny(whole, config=config)
    stopped, _ = train_tiny(first, config=config)
    _, resumed_family = train_tiny(second, config=config, resume_from=stopped.checkpoint)
    assert first.losses + second.losses == whole.losses
    adapter, again = whole_family.adapter_tensors(), resumed_family.adapter_tensors()
    assert all(torch.equal(adapter[name], again[name]) for name in adapter)


@pytest.mark.parametrize("variant", ["rslora", "dora", "lokr"])
def test_every_variant_resumes_exactly(train_tiny, recorder, tiny_config, variant) -> None:
    config = tiny_config.model_copy(update={"variant": variant, "lora_dropout": 0.0, "epochs": 2})
    whole, first, second = recorder(), recorder(stop_after=5), recorder()
    train_tiny(whole, config=config)
    stopped, _ = train_tiny(first, config=config)
    train_tiny(second, config=config, resume_from=stopped.checkpoint)
    assert first.losses + second.losses == whole.losses


def test_evaluating_the_run_does_not_change_it(train_tiny, recorder, tiny_config, encoded_rows) -> None:
    plain, watched = recorder(), recorder()
    train_tiny(plain, config=tiny_config)
    train_tiny(watched, config=tiny_config.model_copy(update={"sample_prompts": ("tea?", "calm?")}))
    assert plain.losses == watched.losses
    assert [step for step, _, _ in watched.samples] == [5, 5, 10, 10, 15, 15, 18, 18]


def test_a_smaller_batch_with_as_much_more_accumulation_goes_on_from_the_checkpoint(
    train_tiny, recorder, tiny_config
) -> None:
    stopped, _ = train_tiny(recorder(stop_after=2))
    other = tiny_config.model_copy(update={"batch_size": 3})
    with pytest.raises(CheckpointUnusable, match="batch_size times gradient_accumulation"):
        train_tiny(recorder(), config=other, resume_from=stopped.checkpoint)
    observer = recorder()
    halved = tiny_config.model_copy(update={"batch_size": 1, "gradient_accumulation": 2})
    train_tiny(observer, config=halved, resume_from=stopped.checkpoint)
    assert observer.started == (2, 18)
