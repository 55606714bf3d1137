"""Loss and gradient of language models on the device, in each number format, against fp32 on the CPU."""

from typing import Any

import torch

from benchmarks.gpu.figures import Figure, RowResult
from benchmarks.gpu.nearness import LossAndGradient, differentiate, judge, set_adapter
from benchmarks.gpu.text_models import SMALL, OurText, TextJob, build_model, make_config, make_network
from benchmarks.gpu.where import Place
from pricing.datasets.text_rows import EncodedRow
from trainer.base_models.transformers_quiet import transformers
from trainer.families.chatglm.chatglm import ChatGLM
from trainer.families.text.causal_lm import CausalLM

CPU = Place(torch.device("cpu"), is_rehearsal=True)
SHARED = 40
ODD = {"head_dim": 32, "hidden_size": 128}  # 4 heads of 32: a width that flash attention takes


def make_families() -> dict[str, tuple[type[CausalLM], Any]]:
    shape = SMALL | ODD
    glm = transformers.GlmConfig(**shape, max_position_embeddings=8192, pad_token_id=0, attention_bias=True)
    return {"LLaMA": (CausalLM, make_network(shape)), "ChatGLM": (ChatGLM, glm)}


def make_row_sets(place: Place) -> dict[str, list[EncodedRow]]:
    """Make rows that share a prefix, few and short or many and long (beyond one mask), and one row alone."""
    long = place.pick(500, 300)

    def rows(*lengths: int) -> list[EncodedRow]:
        shared = list(range(3, 3 + SHARED))
        return [
            EncodedRow([*shared, *((7 * number + place) % 400 + 50 for place in range(length))], SHARED + 1 + number)
            for number, length in enumerate(lengths)
        ]

    return {"short": rows(9, 30, 17), "long": rows(long, long // 2, long, 3), "one": rows(50)}


def measure(place: Place) -> RowResult:
    figures: list[Figure] = []
    for name, (family, network) in make_families().items():
        row_sets = make_row_sets(place)
        expected = {kind: compute(CPU, family, network, rows, torch.float32) for kind, rows in row_sets.items()}
        for dtype in dict.fromkeys((place.dtype, torch.float16, torch.float32)):
            if dtype is torch.float16 and place.device.type == "cpu":
                continue
            for kind, rows in row_sets.items():
                found = compute(place, family, network, rows, dtype)
                figures += judge(f"{name}, {kind} rows, {str(dtype)[6:]}", found, expected[kind], dtype)
    return RowResult("correct text", figures)


def compute(
    place: Place, family: type[CausalLM], network: Any, rows: list[EncodedRow], dtype: torch.dtype
) -> LossAndGradient:
    """Compute with weights that were drawn on the CPU in 32 bit."""
    model = build_model(CPU, network, torch.float32).to(place.device, dtype)
    job = TextJob("correct", "correct", SMALL, tuple(len(row.token_ids) for row in rows))
    keys = {} if family is CausalLM else {"target_modules": None}
    ours = OurText(place, model, make_config(place, job, precision="fp32", **keys), family)
    set_adapter(ours.family)
    return differentiate(ours.family, ours.family.collate(rows))
