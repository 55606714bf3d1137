"""A whole run by the keys of the configuration: going on, starting from an adapter, fitting into memory, logs."""

import json
import random
import shutil
import sys
import types
import warnings
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from pricing.resources.memory import DEFAULT_MEMORY
from pricing.training.text_workload import plan_text_workload
from trainer.base_models.config import BaseModelSource
from trainer.data.text import read_text_dataset
from trainer.errors import BadInput, CannotWrite, CheckpointUnusable, LossNotFinite, OutOfMemory
from trainer.families.text.causal_lm import CausalLM
from trainer.kernels.head_loss import sum_head_loss
from trainer.training.adapter_file import read_adapter
from trainer.training.checkpoint import TENSORS
from trainer.training.session import run_training

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tiny_source, tiny_config, recorder):
    """Train by the tiny configuration with some keys changed; returns the finished training and what was observed."""

    def train(observer=None, source=tiny_source, **keys):
        config, observer = tiny_config.model_copy(update=keys), observer or recorder()
        dataset = read_text_dataset(config)
        return run_training(config, source, dataset, observer=observer, stop=observer.stop), observer

    return train


def test_an_earlier_run_is_not_written_over_without_a_word(run, recorder) -> None:
    run(recorder(stop_after=3))
    with pytest.raises(BadInput, match=r"resume: auto .*resume_from: .*step-00000003"):
        run()


def test_resume_auto_starts_anew_and_goes_on_from_the_last_checkpoint(run, recorder, tmp_path) -> None:
    whole, observer = run(output_dir=str(tmp_path / "whole"))
    _, first = run(recorder(stop_after=7), resume="auto")
    finished, second = run(resume="auto")
    assert second.started == (7, 18)
    assert first.losses + second.losses == observer.losses
    a, b = read_adapter(whole.adapter).tensors, read_adapter(finished.adapter).tensors
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_resume_auto_goes_on_from_the_one_before_where_the_last_is_damaged(run, recorder, tmp_path, capsys) -> None:
    whole, observer = run(output_dir=str(tmp_path / "whole"))
    run(recorder(stop_after=7), resume="auto")
    last = tmp_path / "output" / "checkpoints" / "step-00000007"
    (last / "state.safetensors").write_bytes(b"")
    finished, second = run(resume="auto")
    assert "step-00000007 is no readable checkpoint" in capsys.readouterr().out
    assert second.started == (5, 18)
    assert second.losses == observer.losses[5:]
    assert read_adapter(finished.adapter).tensors.keys() == read_adapter(whole.adapter).tensors.keys()
    assert len(list(last.parent.iterdir())) == 2


def test_an_output_folder_that_cannot_be_written_is_told_before_the_model_is_loaded(run, tmp_path, monkeypatch) -> None:
    """Twenty of twenty steps were trained, and nothing was kept."""
    monkeypatch.setattr("trainer.training.session.load_family", lambda *_: pytest.fail("loaded in vain"))
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="Not a directory"):
        run(output_dir=str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda facts: facts.pop("random"), "'random' is missing"),
        (lambda facts: facts["random"].update(python=[3, [1], None]), "malformed: .*vector"),
        (lambda facts: facts["counters"].update(step=6), "its counters are of step 6"),
        (lambda facts: facts["counters"].update(steps=7), "counters.steps is missing or unknown"),
        (lambda facts: facts["counters"].pop("tokens"), "counters.tokens is missing or unknown"),
        (lambda facts: facts["counters"].update(tokens="many"), "counters.tokens: .*integer"),
        (lambda facts: facts.update(counters=[]), "malformed: "),
        (lambda facts: facts.update(optimizer_groups=[]), "malformed: "),
        (lambda facts: facts["config"].update(lora_ranks=4), "does not know .*lora_ranks"),
        (lambda facts: facts.update(config="none"), "malformed: "),
    ],
)
def test_a_malformed_state_is_a_message(run, recorder, tmp_path, change, words) -> None:
    run(recorder(stop_after=7))
    file = tmp_path / "output" / "checkpoints" / "step-00000007" / "state.json"
    change(facts := json.loads(file.read_text()))
    file.write_text(json.dumps(facts))
    with pytest.raises(CheckpointUnusable, match=f"checkpoint of step 7 .*{words}"):
        run(resume="auto")


def test_tensors_that_a_checkpoint_lacks_are_a_message(run, recorder, tmp_path) -> None:
    run(recorder(stop_after=7))
    folder = tmp_path / "output" / "checkpoints" / "step-00000007"
    tensors, facts = load_file(folder / "state.safetensors"), json.loads((folder / "state.json").read_text())
    facts.pop("tensors_sha256")  # as older checkpoints are
    (folder / "state.json").write_text(json.dumps(facts))
    for kind, words in (("optimizer.", "optimizer"), ("random.", "'torch' is missing"), ("adapter.", "another base")):
        save_file({name: tensor for name, tensor in tensors.items() if not name.startswith(kind)}, folder / TENSORS)
        with pytest.raises(CheckpointUnusable, match=words):
            run(resume_from=str(folder))


def test_a_run_can_start_from_an_existing_adapter(run, tmp_path) -> None:
    first, observer = run()
    _, warm = run(init_from=str(first.adapter), output_dir=str(tmp_path / "again"))
    assert warm.started == (0, 18)
    assert warm.losses[0] < observer.losses[0]
    _, from_folder = run(init_from=str(first.adapter.parent), output_dir=str(tmp_path / "third"))
    assert from_folder.losses == warm.losses


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lora_rank": 8}, r"its rank is 4; set lora_rank: 4 \(now 8\)"),
        ({"target_modules": ("k_proj",)}, r"its modules are q_proj, v_proj; set target_modules: \[q_proj, v_proj\]"),
        ({"variant": "dora"}, "not of the dora variant"),
        ({"variant": "rslora"}, "not of the rslora variant"),
        ({"variant": "lokr", "lora_dropout": 0.0}, "of kind LORA, this run makes LOKR"),
    ],
)
def test_an_adapter_that_does_not_fit_is_told_by_what(run, tmp_path, keys, message) -> None:
    first, _ = run(max_steps=1)
    with pytest.raises(BadInput, match=message):
        run(init_from=str(first.adapter), output_dir=str(tmp_path / "again"), **keys)


def test_an_adapter_of_another_base_model_is_refused(run, tmp_path, tiny_source) -> None:
    first, _ = run(max_steps=1)
    other = BaseModelSource("other-llama", tiny_source.weights)
    with pytest.raises(BadInput, match=r"trained on base_model tiny-llama, this run has other-llama"):
        run(init_from=str(first.adapter), output_dir=str(tmp_path / "again"), source=other)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"max_steps": 7},
        {"gradient_accumulation": 3},
        {"validation_split": 0.3, "max_steps": 9, "packing": False},
        {"batch_size": 3, "gradient_accumulation": 2, "validation_split": 0.1, "max_length": 16},
    ],
)
def test_what_is_quoted_is_what_is_trained(run, tiny_source, tiny_config, keys) -> None:
    finished, observer = run(**keys)
    config = tiny_config.model_copy(update=keys)
    rows = CausalLM.load(tiny_source).encode(read_text_dataset(config).rows, max_length=config.max_length)
    quoted = plan_text_workload([len(row.token_ids) for row in rows], config)
    assert (finished.result.steps, finished.result.tokens) == (quoted.steps, quoted.tokens)
    assert sum(report.tokens for report in observer.reports) == quoted.tokens


def test_recomputing_activations_changes_no_loss(run, tmp_path) -> None:
    _, kept = run(gradient_checkpointing=False)
    _, recomputed = run(gradient_checkpointing=True, output_dir=str(tmp_path / "again"))
    assert recomputed.losses == pytest.approx(kept.losses, rel=1e-6)


@pytest.mark.parametrize(("available_gib", "recomputes"), [(64.0, False), (0.5, True)])
def test_auto_recomputes_where_the_estimate_says_it_would_not_fit(run, monkeypatch, available_gib, recomputes) -> None:
    monkeypatch.setattr("trainer.training.session.read_available_gib", lambda: available_gib)
    called = []
    monkeypatch.setattr(
        "trainer.families.text.causal_lm.CausalLM.recompute_activations", lambda _self: called.append(1)
    )
    run(max_steps=1)
    assert bool(called) is recomputes


def forget_the_context(monkeypatch) -> None:
    """Count no context, which is all that a tiny model needs: without it a smaller batch shows."""
    constants = replace(DEFAULT_MEMORY, context_gib=0.0)
    monkeypatch.setattr("pricing.resources.trainer_memory.load_memory_constants", lambda _program: constants)
    monkeypatch.setattr("pricing.resources.memory.CONTEXT_OF_A_CPU_GIB", 0.0)


@pytest.fixture
def _large_batches_do_not_fit(monkeypatch) -> None:
    import trainer.families.text.causal_lm as module  # noqa: PLC0415

    real = module.CausalLM.collate

    def collate(self, examples):
        if len(examples) > 1:
            raise MemoryError
        return real(self, examples)

    monkeypatch.setattr(module.CausalLM, "collate", collate)
    forget_the_context(monkeypatch)


def test_what_torch_raises_on_a_gpu_is_answered_with_what_would_have_fitted(run, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("trainer.families.text.causal_lm.sum_head_loss", fail)
    forget_the_context(monkeypatch)
    with pytest.raises(OutOfMemory) as caught:
        run()
    assert "by the estimate one of these would fit: gradient_checkpointing: true (" in str(caught.value)
    assert "Tried to allocate 2.00 GiB" in str(caught.value)


@pytest.mark.usefixtures("_large_batches_do_not_fit")
def test_running_out_of_memory_names_what_would_have_fitted(run) -> None:
    with pytest.raises(OutOfMemory) as caught:
        run(gradient_checkpointing=True)
    assert "batch_size: 1, gradient_accumulation: 2 (" in str(caught.value)
    assert "auto_fit: true" in str(caught.value)


@pytest.mark.usefixtures("_large_batches_do_not_fit")
def test_auto_fit_tries_again_and_trains_the_same_steps_and_tokens(run, tmp_path) -> None:
    finished, observer = run(gradient_checkpointing=True, auto_fit=True)
    assert observer.started == (0, 18)
    _, unbroken = run(batch_size=1, gradient_accumulation=2, output_dir=str(tmp_path / "again"))
    assert [report.tokens for report in observer.reports] == [report.tokens for report in unbroken.reports]
    assert finished.adapter is not None


def test_auto_fit_goes_on_from_the_last_checkpoint(run, recorder, monkeypatch) -> None:
    """Memory runs out late: at a batch of more than one row after six steps."""
    observer, real = recorder(), sum_head_loss

    def fail_late(*args):
        if len(observer.reports) == 6:
            observer.reports.append(observer.reports[-1])  # once only
            raise MemoryError
        return real(*args)

    monkeypatch.setattr("trainer.families.text.causal_lm.sum_head_loss", fail_late)
    forget_the_context(monkeypatch)
    run(observer, gradient_checkpointing=True, auto_fit=True)
    assert observer.started == (5, 18)


def test_a_loss_that_is_not_finite_names_its_rows(run, monkeypatch) -> None:
    real = sum_head_loss
    monkeypatch.setattr("trainer.families.text.causal_lm.sum_head_loss", lambda *args: real(*args) * float("nan"))
    with pytest.raises(LossNotFinite, match=r"step 1 is nan.*\(rows \d+, \d+ of the usable ones\)"):
        run(validation_split=0.2)


def test_a_folder_that_may_not_be_written_is_told_with_its_cure(run, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"cannot be written \(Not a directory\).*output_dir"):
        run(output_dir=str(tmp_path / "file"), save_steps=1)


def test_a_validation_loss_that_rises_is_named_overfitting(run, tiny_dataset) -> None:
    """Answers that have nothing in common can be learnt by heart only."""
    letters = random.Random(1)
    answers = ["".join(letters.choices("abcdefghijklmnop", k=12)) for _ in range(10)]
    rows = [json.dumps({"prompt": f"{number}", "completion": answer}) for number, answer in enumerate(answers)]
    (tiny_dataset / "rows.jsonl").write_text("\n".join(rows))
    _, observer = run(validation_split=0.2, epochs=25, learning_rate=0.1, lora_dropout=0.0, lora_rank=16)
    assert [step for step, _, _ in observer.validations] == [4 * epoch for epoch in range(1, 26)]
    advices = [advice for _, _, advice in observer.validations if advice]
    assert advices
    assert "lora_dropout: 0.1" in advices[0]


def test_tensorboard_that_is_not_installed_is_told_the_command(run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BadInput, match=r"log_to: .*pip install tensorboard"):
        run(log_to="tensorboard")


def test_tensorboard_gets_losses_and_samples(run, monkeypatch) -> None:
    written = []

    class Writer:
        def __init__(self, folder: str) -> None:
            self.folder = Path(folder)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def add_text(self, name: str, value: str, step: int) -> None:
            written.append((name, value, step))

        def flush(self) -> None:
            written.append("flush")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    _, observer = run(log_to="tensorboard", validation_split=0.2, max_steps=5, sample_prompts=("tea?",))
    losses = [(value, step) for name, value, step in filter(lambda e: e != "flush", written) if name == "train/loss"]
    assert losses == [(report.loss, report.step) for report in observer.reports]
    names = {entry[0] for entry in written if entry != "flush"}
    assert {"validation/loss", "sample/tea?", "train/learning_rate", "memory/peak_gib"} <= names


def test_quantization_without_a_gpu_is_refused(run) -> None:
    with pytest.raises(BadInput, match="quantization: 4bit needs a GPU"):
        run(quantization="4bit")


def test_half_precision_without_a_gpu_is_refused_and_bf16_trains(run) -> None:
    with pytest.raises(BadInput, match="precision: fp16 needs a GPU"):
        run(precision="fp16")
    finished, observer = run(precision="bf16")
    assert observer.losses[-1] < observer.losses[0]
    assert all(tensor.dtype is torch.float32 for tensor in read_adapter(finished.adapter).tensors.values())


def test_plain_auto_peft_finds_and_loads_the_base_of_an_adapter(run, tiny_model) -> None:
    finished, _ = run()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = peft.AutoPeftModelForCausalLM.from_pretrained(finished.adapter.parent, local_files_only=True)
    plain = AutoModelForCausalLM.from_pretrained(tiny_model).state_dict()
    theirs = {name.replace(".base_layer", ""): tensor for name, tensor in loaded.get_base_model().state_dict().items()}
    assert all(torch.equal(theirs[name], plain[name]) for name in plain)


def test_a_checkpoint_knows_its_base_by_its_weights_wherever_they_lie(run, recorder, tiny_model, tmp_path) -> None:
    """Past fault: it knew the name alone, so that other weights under it went on from where the first were."""
    run(recorder(stop_after=3))
    moved = tmp_path / "moved"
    shutil.copytree(tiny_model, moved)
    _, second = run(source=BaseModelSource("moved", moved), base_model=str(moved), resume="auto")
    assert second.started == (3, 18)
    shutil.rmtree(tmp_path / "output")
    run(recorder(stop_after=3))
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.lm_head.weight.data += 1
    model.save_pretrained(moved)
    with pytest.raises(CheckpointUnusable, match=r"base model .*other weights"):
        run(source=BaseModelSource("tiny-llama", moved), resume="auto")


def test_a_run_goes_on_though_its_chat_template_has_changed(run, recorder, tiny_model, tmp_path) -> None:
    """Past fault: a template that wrote the day, or was edited, made `resume: auto` fail on the next one."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    whole, observer = run(source=BaseModelSource("tiny", model), output_dir=str(tmp_path / "whole"))
    _, first = run(recorder(stop_after=7), source=BaseModelSource("tiny", model))
    (model / "chat_template.jinja").write_text("{% for m in messages %}<{{ m['content'] }}>{% endfor %}")
    finished, second = run(source=BaseModelSource("tiny", model), resume="auto")
    assert first.losses + second.losses == observer.losses
    a, b = read_adapter(whole.adapter).tensors, read_adapter(finished.adapter).tensors
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_one_line_says_what_became_of_every_row(run, tmp_path, capsys) -> None:
    """Past fault: 8 of 10 rows were over max_length and left out, and nobody was told."""
    data = tmp_path / "rows"
    data.mkdir()
    rows = [{"prompt": "x" * 40, "completion": "y"}] * 8 + [
        {"prompt": "a", "completion": "b" * 60},
        {"prompt": "a", "completion": "b"},
    ]
    rows += [{"prompt": "a", "completion": "b", "label": False}] * 3 + [
        {"prompt": "a", "completion": "b", "loss": False}
    ]
    (data / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run(train_data_dir=str(data), skip_bad_rows=True, max_steps=1)
    line = next(line for line in capsys.readouterr().out.splitlines() if " rows read: " in line)
    assert line.startswith("14 rows read: 2 used, 3 refused (3: label: false says that the answer is a bad one")
    assert line.endswith("), 1 set aside, 8 too long, 1 cut")
