"""What others would say of a published row: the simplest rule, and two estimators of PyPI where they are installed.

`kavier` and `fitcheck-llm` (both MIT; `pip install '.[peers]'`) know fewer models and cards than we do; a row that one
of them has no words for has no figure of it.
"""

import importlib
import warnings
from importlib.util import find_spec
from typing import Any

from benchmarks.estimator.fit import PreparedRow
from pricing.catalog.profile import BaseModelProfile

SHARE_OF_PEAK = 0.5
HEAD_WIDTH = 128
MIB_PER_GIB = 1024
KAVIER_GPUS = {
    "a100-40g": "A100-40GB",
    "a100-80g": "NVIDIA-A100-SXM4-80GB",
    "l4": "L4",
    "l40s": "L40S",
    "h100-80g": "H100-SXM",
    "h200": "H200 SXM",
}
KAVIER_MODELS = {
    "llama-2-7b": "llama-7b",
    "openllama-7b": "llama-7b",
    "llama-2-13b": "llama-13b",
    "llama-2-70b": "llama2-70b",
    "llama-3-8b": "llama3-8b",
    "llama-3.1-8b": "llama3.1-8b",
    "llama-3-70b": "llama3-70b",
    "llama-3.1-70b": "llama3.1-70b",
    "llama-3.2-1b": "llama3.2-1b",
    "llama-3.2-3b": "llama3.2-3b",
    "mistral-7b": "mistral-7b-v0.1",
}
KAVIER_METHODS = {"none": "lora", "4bit": "qlora", "gptq": "gptq-lora"}
FITCHECK_GPUS = {
    "rtx-3060": "3060-12",
    "rtx-3090": "3090",
    "rtx-4090": "4090",
    "rtx-5090": "5090",
    "t4": "t4",
    "v100-16g": "v100-16",
    "l4": "l4",
    "a6000": "a6000",
    "l40s": "l40s",
    "a100-40g": "a100-40",
    "a100-80g": "a100-80",
    "h100-80g": "h100-80",
    "h200": "h200",
    "b200": "b200",
}
FITCHECK_QUANTIZATION = {"none": "none", "8bit": "int8", "4bit": "nf4"}
LLAMA_MODULES = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def estimate_by_rule(row: PreparedRow) -> float | None:
    """Estimate a step by the simplest rule: 4ND, 6ND where activations are recomputed, at half of the peak.

    N is parameters, D tokens. None for pictures, which the rule does not know.
    """
    request = row.row.request
    if not row.run.profile.is_text:
        return None
    tokens = request.micro_batch * request.accumulation * row.run.mean_length
    method = row.run.likeliest.method
    passes = 6 if method.checkpointing else 4
    reached = SHARE_OF_PEAK * row.run.gpu.peak_flops(method.precision)
    return passes * row.run.profile.parameters * tokens / reached


def estimate_by_kavier(row: PreparedRow) -> float | None:
    """Estimate a step with kavier; None where it is not installed or cannot express the row."""
    request, method = row.row.request, KAVIER_METHODS.get(row.row.quantization)
    model, gpu = KAVIER_MODELS.get(row.run.profile.name), KAVIER_GPUS.get(row.run.gpu.sku)
    if find_spec("kavier") is None or method is None or model is None or gpu is None:
        return None
    engine: Any = importlib.import_module("kavier.sdk.training.core.engine")
    length, batch = round(row.run.mean_length), request.micro_batch * request.gpus
    with warnings.catch_warnings(action="ignore"):  # it warns of each model that it has no correction for
        found = engine.simulate_full_training(
            model_name=model,
            method=method,
            gpu_model=gpu,
            tokens_per_sample=length,
            batch_size=batch,
            number_gpus=request.gpus,
            number_nodes=1,
            total_tokens=batch * length,
        )
    return batch * request.accumulation * length / float(found["train_tokens_per_second"])


def estimate_by_fitcheck(row: PreparedRow) -> float | None:
    """Estimate the peak GiB with fitcheck-llm; None where it is not installed or cannot express the row."""
    request, quantization = row.row.request, FITCHECK_QUANTIZATION.get(row.row.quantization)
    gpu = FITCHECK_GPUS.get(row.run.gpu.sku)
    is_llama = row.run.profile.modules.keys() >= LLAMA_MODULES
    if find_spec("fitcheck") is None or quantization is None or gpu is None or not is_llama or request.gpus > 1:
        return None
    fitcheck: Any = importlib.import_module("fitcheck")
    targets = request.target_modules or row.run.profile.default_target_modules
    named = sorted(LLAMA_MODULES) if "all-linear" in targets else list(targets)
    training = fitcheck.TrainingConfig(
        precision=request.precision,
        quantization=quantization,
        double_quant=quantization == "nf4",
        batch_size=request.micro_batch,
        seq_len=request.sequence_length,
        lora_rank=request.rank,
        lora_targets=named,
        grad_checkpoint=row.run.likeliest.method.checkpointing,
        flash_attn=True,
        grad_accum_steps=request.accumulation,
    )
    report = fitcheck.estimate(_describe_llama(row.run.profile, fitcheck), training, fitcheck.get_gpu(gpu))
    return float(report.total_mib) / MIB_PER_GIB


def _describe_llama(profile: BaseModelProfile, fitcheck: Any) -> Any:
    """Describe a model of LLaMA's shape as fitcheck-llm wants it, from the shapes of its modules."""
    hidden = profile.modules["q_proj"][0].in_features
    return fitcheck.ModelConfig(
        name=profile.name,
        num_params=profile.parameters,
        hidden_size=hidden,
        num_layers=profile.layers,
        num_attention_heads=profile.modules["q_proj"][0].out_features // HEAD_WIDTH,
        num_kv_heads=profile.modules["k_proj"][0].out_features // HEAD_WIDTH,
        intermediate_size=profile.modules["up_proj"][0].out_features,
        vocab_size=profile.vocabulary,
        head_dim=HEAD_WIDTH,
        tie_word_embeddings=False,
    )
