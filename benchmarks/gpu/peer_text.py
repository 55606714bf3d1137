"""The peer of text: `transformers.Trainer` with peft, at the same precision, attention, modules, rank and rows."""

import tempfile
import time
import warnings
from typing import Any

import torch

from benchmarks.gpu.text_models import RANK, TARGETS, TextJob
from benchmarks.gpu.where import Place
from pricing.datasets.text_rows import EncodedRow
from trainer.base_models.transformers_quiet import peft, transformers


class StepTimes(transformers.TrainerCallback):  # type: ignore[misc]
    """Keeps when each step ended, and ends the training when its seconds are over, after five steps at least."""

    def __init__(self, place: Place, seconds: float) -> None:
        self._place, self._seconds, self.ended = place, seconds, list[float]()

    def on_step_end(self, _arguments: Any, _state: Any, control: Any, **_: Any) -> None:
        if len(self.ended) % 2 == 0:
            self._place.wait()
        self.ended.append(time.monotonic())
        if len(self.ended) >= self._place.pick(5, 3) and self.ended[-1] - self.ended[0] > self._seconds:
            control.should_training_stop = True

    @property
    def seconds(self) -> float:
        """The seconds of a step, without the first, which compiles and fills caches."""
        odd = self.ended[: len(self.ended) - (len(self.ended) + 1) % 2]  # from one waited for to another
        return (odd[-1] - odd[0]) / (len(odd) - 1)


def collate(rows: list[EncodedRow]) -> dict[str, torch.Tensor]:
    """Pad on the right to the longest row, as DataCollatorForSeq2Seq does."""
    longest = max(len(row.token_ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, row in enumerate(rows):
        length = len(row.token_ids)
        ids[place, :length] = labels[place, :length] = torch.tensor(row.token_ids)
        mask[place, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def measure_peer(place: Place, model: Any, job: TextJob, *, seconds: float) -> float:
    """Train with the Trainer for so many seconds; returns the seconds of a step."""
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(TARGETS), task_type="CAUSAL_LM")
    )
    times = StepTimes(place, seconds)
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = transformers.TrainingArguments(
            folder,
            per_device_train_batch_size=len(job.lengths),
            max_steps=10_000,
            learning_rate=1e-4,
            bf16=place.precision == "bf16" and not place.is_rehearsal,
            fp16=place.precision == "fp16",
            logging_steps=10,
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            use_cpu=place.device.type == "cpu",
            disable_tqdm=True,
        )
        trainer = transformers.Trainer(
            adapted, arguments, train_dataset=job.make_rows() * 64, data_collator=collate, callbacks=[times]
        )
        trainer.train()
    return times.seconds
