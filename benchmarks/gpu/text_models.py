"""Random language models of true shapes, the rows that both sides train on, and our side's step."""

import random
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu.where import Place
from pricing.datasets.text_rows import EncodedRow
from pricing.training.config import TrainingConfig
from trainer.base_models.transformers_quiet import transformers
from trainer.families.chatglm.chatglm import ChatGLM
from trainer.families.text.causal_lm import CausalLM
from trainer.training.optimizer_step import Stepper, create_scaler
from trainer.training.optimizers import create_optimizer

# Source: the config.json of meta-llama/Llama-3.2-1B and Llama-3.1-8B.
LLAMA_1B = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128_256,
    "tie_word_embeddings": True,
}
LLAMA_8B = LLAMA_1B | {
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "head_dim": 128,
    "tie_word_embeddings": False,
}
SMALL = LLAMA_1B | {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 500}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK = 16


@dataclass(frozen=True)
class TextJob:
    """What both sides train: `lengths` of the rows of one step, all of whose tokens but the first are learnt."""

    name: str
    model: str
    shape: dict[str, Any]
    lengths: tuple[int, ...]

    def make_rows(self, seed: int = 0) -> list[EncodedRow]:
        draw = random.Random(seed)
        tokens = self.shape["vocab_size"]
        return [EncodedRow([draw.randrange(3, tokens) for _ in range(length)], 1) for length in self.lengths]


def make_job(place: Place, model: str, *, mixed: bool) -> TextJob:
    """Make the job of a shape: eight rows of 1024 tokens, or of 64 to 2048, of which few are long."""
    shape = SMALL if place.is_rehearsal else {"llama-3.2-1b": LLAMA_1B, "llama-3.1-8b": LLAMA_8B}[model]
    longest = place.pick(2048, 64)
    if not mixed:
        return TextJob(f"{model}, 8 rows of {longest // 2}", model, shape, (longest // 2,) * 8)
    draw = random.Random(1)
    lengths = [min(longest, max(longest // 32, round(longest / 8 * draw.lognormvariate(0.0, 0.9)))) for _ in range(15)]
    return TextJob(f"{model}, 16 rows of mixed length", model, shape, (*lengths, longest))


def make_network(shape: dict[str, Any]) -> Any:
    return transformers.LlamaConfig(**shape, max_position_embeddings=131_072, rope_theta=500_000.0, pad_token_id=0)


def build_model(place: Place, network: Any, dtype: torch.dtype | None = None) -> Any:
    """Build a frozen model of random weights on the device; nothing is read from a disk."""
    torch.manual_seed(0)
    with torch.device(place.device):
        model = transformers.AutoModelForCausalLM.from_config(
            network, dtype=dtype or place.dtype, attn_implementation="sdpa"
        )
    return model.requires_grad_(requires_grad=False)


def make_config(place: Place, job: TextJob, **keys: Any) -> TrainingConfig:
    common = {
        "base_model": job.model,
        "lora_rank": RANK,
        "lora_alpha": RANK,
        "target_modules": TARGETS,
        "batch_size": len(job.lengths),
        "max_length": max(8, *job.lengths),
        "precision": place.precision,
        "learning_rate": 1e-4,
        "gradient_checkpointing": False,
    }
    return TrainingConfig.model_validate(common | keys)


class OurText:
    """Our side: the family, with its adapter, and the recipe's own step."""

    def __init__(self, place: Place, model: Any, config: TrainingConfig, family: type[CausalLM] = CausalLM) -> None:
        self.family = family(model, None, place.device)  # type: ignore[arg-type]  # nothing is tokenized here
        torch.manual_seed(0)
        self.family.attach_adapter(config, TARGETS if family is not ChatGLM else None)
        if config.gradient_checkpointing is True:
            self.family.recompute_activations()
        self.family.model.train()
        trainable = [parameter for parameter in self.family.model.parameters() if parameter.requires_grad]
        optimizer = create_optimizer(config, trainable)
        scaler = create_scaler(self.family.model)
        self.stepper = Stepper(self.family, optimizer, trainable, config.batch_size, scaler)
        self.steps = 0

    def step(self, rows: list[EncodedRow]) -> Any:
        self.steps += 1
        return self.stepper.take_step(rows, step=self.steps)
