"""Gradient checkpointing by the estimate, and the advice on running out of memory, for pictures and for ChatGLM."""

from dataclasses import replace
from typing import Any

import pytest

from pricing.datasets.text_rows import EncodedRow
from pricing.resources.memory import DEFAULT_MEMORY
from pricing.training.config import TrainingConfig
from tests.trainer.conftest import draw_pictures
from tests.trainer.families.chatglm.glm_folders import CONFIG as GLM
from tests.trainer.families.chatglm.glm_folders import write_folder
from trainer.base_models.config import BaseModelSource, resolve_base_model
from trainer.errors import OutOfMemory
from trainer.families.chatglm.chatglm import ChatGLM
from trainer.families.registry import read_dataset
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.stop import StopFlag
from trainer.training import session
from trainer.training.memory_plan import find_fits, recompute_if_needed

pytestmark = pytest.mark.usefixtures("picture_cache")


@pytest.fixture
def train(tiny_sd15, tmp_path, recorder) -> Any:
    draw_pictures(tmp_path / "data", count=4, sizes=((96, 96),))

    def run(observer: Any = None, **keys: Any) -> Any:
        config = TrainingConfig(
            base_model=str(tiny_sd15),
            train_data_dir=str(tmp_path / "data"),
            **{"output_dir": str(tmp_path / "output"), "resolution": 64, "lora_rank": 2, "epochs": 1, **keys},
        )
        source = resolve_base_model(config.base_model)
        observer = observer or recorder()
        dataset = read_dataset(config, source)
        return session.run_training(config, source, dataset, observer=observer, stop=StopFlag()), observer

    return run


@pytest.mark.parametrize(("available_gib", "recomputes"), [(64.0, False), (0.5, True)])
def test_auto_recomputes_pictures_where_the_estimate_says_so(train, monkeypatch, available_gib, recomputes) -> None:
    monkeypatch.setattr("trainer.training.session.read_available_gib", lambda: available_gib)
    called = []
    monkeypatch.setattr(StableDiffusion, "recompute_activations", lambda _self: called.append(1))
    train(max_steps=1)
    assert bool(called) is recomputes


@pytest.fixture
def _large_batches_do_not_fit(monkeypatch) -> None:
    real = StableDiffusion.collate

    def collate(self: StableDiffusion, examples: Any) -> Any:
        if len(examples) > 2:
            raise MemoryError
        return real(self, examples)

    monkeypatch.setattr(StableDiffusion, "collate", collate)
    # A tiny model's context is all that it needs: without it a smaller batch shows.
    constants = replace(DEFAULT_MEMORY, context_gib=0.0)
    monkeypatch.setattr("pricing.resources.trainer_memory.load_memory_constants", lambda _program: constants)
    monkeypatch.setattr("pricing.resources.memory.CONTEXT_OF_A_CPU_GIB", 0.0)


@pytest.mark.slow
@pytest.mark.usefixtures("_large_batches_do_not_fit")
def test_running_out_of_memory_names_what_would_have_fitted_for_pictures(train) -> None:
    with pytest.raises(OutOfMemory) as caught:
        train(batch_size=4, resolution=256, gradient_checkpointing=False)
    said = str(caught.value)
    assert "gradient_checkpointing: true (" in said
    assert "batch_size: 1, gradient_accumulation: 4 (" in said


@pytest.mark.slow
@pytest.mark.usefixtures("_large_batches_do_not_fit")
def test_auto_fit_trains_the_same_steps_and_tokens_on_pictures(train, tmp_path) -> None:
    finished, observer = train(batch_size=8, resolution=256, gradient_checkpointing=True, auto_fit=True)
    _, unbroken = train(batch_size=2, gradient_accumulation=4, resolution=256, output_dir=str(tmp_path / "again"))
    assert finished.adapter is not None
    assert [report.tokens for report in observer.reports] == [report.tokens for report in unbroken.reports]


class _Family(ChatGLM):
    """A ChatGLM without a model: only whether it is to recompute is of interest."""

    recomputes = False

    def __init__(self) -> None:
        """Load nothing."""

    def recompute_activations(self) -> None:
        self.recomputes = True


@pytest.mark.parametrize("targets", [None, ("query_key_value",), ("q_proj", "dense_h_to_4h"), "all-linear"])
def test_a_chatglm_in_its_original_layout_is_estimated_under_either_name_of_its_layers(
    tmp_path, monkeypatch, targets
) -> None:
    source = BaseModelSource("glm", write_folder(tmp_path / "glm", GLM))
    config = TrainingConfig(base_model="glm", batch_size=4, max_length=64, target_modules=targets)
    for available_gib, recomputes in ((64.0, False), (0.1, True)):
        family = _Family()
        rows = [EncodedRow(list(range(64)), prompt_length=2)] * 8
        assert recompute_if_needed(family, config, source, rows, available_gib=available_gib) is recomputes
        assert family.recomputes is recomputes
    constants = replace(DEFAULT_MEMORY, context_gib=0.0)
    monkeypatch.setattr("pricing.resources.trainer_memory.load_memory_constants", lambda _program: constants)
    monkeypatch.setattr("pricing.resources.memory.CONTEXT_OF_A_CPU_GIB", 0.0)
    assert {"batch_size": 1, "gradient_accumulation": 4} in [fit.changes for fit in find_fits(config, source)]
