"""Measured process: the peer, `peft` and `transformers.Trainer`, as their documentation puts them together.

Rows are padded to the longest of the batch and shuffled; the loss is that of the completions; no logs, no saves.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks.trainer.rounds import Rounds
from benchmarks.trainer.text_job import encode_rows, get_model_folder
from pricing.training.config import TrainingConfig
from trainer.base_models.config import read_config


class RoundCallback(TrainerCallback):
    def __init__(self, steps_per_round: int) -> None:
        self.rounds = Rounds()
        self.rounds.steps_per_round = steps_per_round

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = not self.rounds.step_done()


def main() -> None:
    config = read_config(Path(sys.argv[1]))
    folder = get_model_folder()
    bf16 = config.precision == "bf16"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if bf16 else torch.float32)
    model = get_peft_model(model, make_lora(config))
    rows = [
        {"input_ids": row.token_ids, "labels": [-100] * row.prompt_length + row.token_ids[row.prompt_length :]}
        for row in encode_rows(config)
    ]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    Trainer(
        model=model,
        args=make_arguments(config, bf16=bf16),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
        callbacks=[RoundCallback(-(-len(rows) // config.batch_size))],
    ).train()


def make_lora(config: TrainingConfig) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.target_modules or ()),
    )


def make_arguments(config: TrainingConfig, *, bf16: bool) -> TrainingArguments:
    return TrainingArguments(
        output_dir=config.output_dir,
        per_device_train_batch_size=config.batch_size,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=config.seed,
    )


if __name__ == "__main__":
    main()
