"""The recipe: every row, every token, and no difference between a run with a break and one without."""

import pytest
import torch

from trainer.errors import CheckpointUnusable, LossNotFinite, OutOfMemory
from trainer.kernels.head_loss import sum_head_loss
from trainer.stop import StopReason

pytestmark = pytest.mark.slow


def test_every_token_of_every_epoch_is_counted(train_tiny, recorder, encoded_rows) -> None:
    observer = recorder()
    result, _ = train_tiny(observer)
    assert result.tokens == 3 * sum(len(row.token_ids) for row in encoded_rows)
    assert sum(report.tokens for report in observer.reports) == result.tokens
    assert (result.steps, result.stopped) == (18, None)
    assert [report.epoch for report in observer.reports] == [1] * 6 + [2] * 6 + [3] * 6


def test_the_loss_falls(train_tiny, recorder) -> None:
    observer = recorder()
    train_tiny(observer)
    assert sum(observer.losses[-6:]) < sum(observer.losses[:6])


@pytest.mark.parametrize("stop_after", [1, 5, 8, 13])
def test_a_resumed_run_has_exactly_the_losses_of_one_without_a_break(train_tiny, recorder, stop_after) -> None:
    whole, first = recorder(), recorder(stop_after=stop_after)
    whole_result, whole_family = train_tiny(whole)
    stopped, _ = train_tiny(first)
    torch.manual_seed(999)  # whatever the process did before it resumes must not matter
    second = recorder()
    resumed_result, resumed_family = train_tiny(second, resume_from=stopped.checkpoint)

    assert (stopped.steps, stopped.stopped) == (stop_after, StopReason.PREEMPTED)
    assert first.losses + second.losses == whole.losses
    assert resumed_result.tokens == whole_result.tokens
    adapter, resumed_adapter = whole_family.adapter_tensors(), resumed_family.adapter_tensors()
    assert all(torch.equal(adapter[name], resumed_adapter[name]) for name in adapter)


def test_a_resumed_run_goes_on_from_a_periodic_checkpoint_after_a_crash(train_tiny, recorder) -> None:
    whole = recorder()
    train_tiny(whole)
    after_crash = recorder()
    train_tiny(after_crash, resume_from=whole.saved[-1])
    assert after_crash.started == (15, 18)
    assert after_crash.losses == whole.losses[15:]


def test_the_last_two_checkpoints_are_kept(train_tiny, recorder) -> None:
    observer = recorder()
    train_tiny(observer)
    assert [path.name for path in observer.saved] == ["step-00000005", "step-00000010", "step-00000015"]
    assert [path.exists() for path in observer.saved] == [False, True, True]


def test_a_cancelled_run_writes_no_checkpoint(train_tiny, recorder) -> None:
    observer = recorder(stop_after=3, reason=StopReason.CANCEL)
    result, _ = train_tiny(observer)
    assert (result.stopped, result.checkpoint, observer.saved) == (StopReason.CANCEL, None, [])


def test_a_checkpoint_of_other_settings_is_refused_by_name(train_tiny, recorder, tiny_config) -> None:
    stopped, _ = train_tiny(recorder(stop_after=2))
    other = tiny_config.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(CheckpointUnusable, match=r"learning_rate \(was 0\.01, now 0\.001\)"):
        train_tiny(recorder(), config=other, resume_from=stopped.checkpoint)


def test_a_checkpoint_of_other_data_is_refused(train_tiny, recorder, encoded_rows) -> None:
    stopped, _ = train_tiny(recorder(stop_after=2))
    with pytest.raises(CheckpointUnusable, match="the training data"):
        train_tiny(recorder(), rows=encoded_rows[1:], resume_from=stopped.checkpoint)


def test_save_steps_and_paths_may_change_on_resume(train_tiny, recorder, tiny_config, tmp_path) -> None:
    stopped, _ = train_tiny(recorder(stop_after=2))
    other = tiny_config.model_copy(update={"save_steps": 100, "output_dir": str(tmp_path / "elsewhere")})
    observer = recorder()
    train_tiny(observer, config=other, resume_from=stopped.checkpoint)
    assert observer.started == (2, 18)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    train_tiny, recorder, monkeypatch
) -> None:
    observer = recorder()
    real = sum_head_loss

    def spoiled(*args, **kwargs):
        return real(*args, **kwargs) * (float("nan") if len(observer.reports) == 6 else 1.0)

    monkeypatch.setattr("trainer.families.text.causal_lm.sum_head_loss", spoiled)
    with pytest.raises(LossNotFinite, match="step 7 is nan; lower learning_rate"):
        train_tiny(observer)
    assert [path.name for path in observer.saved] == ["step-00000005"]
    assert observer.saved[0].exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_running_out_of_memory_is_said_with_its_cure(train_tiny, recorder, monkeypatch, error) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr("trainer.families.text.causal_lm.sum_head_loss", fail)
    with pytest.raises(OutOfMemory, match=r"set batch_size to 2 or 1.*step 1"):
        train_tiny(recorder())


def test_another_fault_of_torch_is_not_taken_for_it(train_tiny, recorder, monkeypatch) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr("trainer.families.text.causal_lm.sum_head_loss", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train_tiny(recorder())
