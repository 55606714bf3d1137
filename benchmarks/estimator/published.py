"""Published speeds and peaks of LoRA training, read from the table that is given on the command line."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from pricing.estimate.prediction import PredictionRequest
from pricing.resources.method import Quantization

# The Alpaca data, in the usual template: its longest row as litgpt states it, and the mean that is used for it.
ALPACA_LONGEST, ALPACA_MEAN = 1304, 180
# torchtune's recipes pack nothing and state no length; the longest row of a batch of two is taken as this.
TORCHTUNE_LONGEST = 512
QWEN_TARGETS = ("c_attn", "attn.c_proj", "w1", "w2")
UNSTATED_GPUS = {"1 GPU": "A100-40G", "A100 (header lost)": "A100-40G"}
# "GB" is what the driver's tools show, GiB, but for litgpt: its scripts print `max_memory_allocated() / 1e9`, in which
# neither the context nor what the allocator holds unused is counted.
GIB_PER_GB = {"litgpt": 1e9 / 2**30}
COUNT_ALLOCATED = frozenset({"litgpt"})
NO_LENGTH = "its length is not stated"
UNSLOTH = "unsloth"


@dataclass(frozen=True)
class PublishedRow:
    """One figure. Units: seconds of an optimizer step; GiB of one GPU; None where the source has no such figure.

    `trainer` tells the programs of one source apart. `quantization` may be one that a request cannot name.
    """

    source: str
    trainer: str
    request: PredictionRequest
    quantization: Quantization
    seconds: float | None
    memory_gib: float | None
    counts_context: bool


@dataclass(frozen=True)
class LeftOut:
    """A row that cannot be estimated, and why."""

    line: int
    reason: str


def read_published(path: Path) -> tuple[list[PublishedRow], list[LeftOut]]:
    """Read the table of published figures.

    Raises: OSError; KeyError and ValueError for a table of another form.
    """
    rows: list[PublishedRow] = []
    left_out: list[LeftOut] = []
    with path.open(encoding="utf-8", newline="") as file:
        for line, record in enumerate(csv.DictReader(file), start=2):
            reason = _find_reason_to_leave_out(record)
            if reason is None:
                rows.append(_read_row(record))
            else:
                left_out.append(LeftOut(line, reason))
    return rows, left_out


def _find_reason_to_leave_out(record: dict[str, str]) -> str | None:
    if record["note"].startswith("REJECT"):
        return "its figure is above the card's peak"
    if record["seq_or_res"] in {"", "n/a"}:
        return NO_LENGTH
    return None


def _read_row(record: dict[str, str]) -> PublishedRow:
    micro_batch, accumulation = _read_batch(record["microbatch"])
    gpus = int(record["n_gpu"])
    quantization = _read_quantization(record)
    size = _read_size(record)
    request = PredictionRequest(
        base_model=re.sub(r" 1\.3B$", "", record["model"]),
        gpu=UNSTATED_GPUS.get(record["gpu"], record["gpu"]),
        gpus=gpus,
        method={"none": "lora", "8bit": "lora-int8"}.get(quantization, "qlora-nf4"),
        precision="fp16" if "fp16" in record["method"] or record["gpu"].startswith(("V100", "RTX2080")) else "bf16",
        rank=_read_rank(record),
        target_modules=_read_targets(record),
        micro_batch=micro_batch,
        accumulation=accumulation,
        gradient_checkpointing={"y": True, "n": False}.get(record["grad_ckpt"][:1]),
        cached_latents=False,
        **size,
    )
    seconds = _read_seconds(record, request)
    memory = _read_memory(record["peak_vram_gb"], gpus, gib_per_gb=GIB_PER_GB.get(_name_program(record), 1.0))
    return PublishedRow(
        source=record["source"].split(" (")[0],
        trainer=_name_trainer(record),
        request=request,
        quantization=quantization,
        seconds=seconds,
        memory_gib=memory,
        counts_context=_name_program(record) not in COUNT_ALLOCATED,
    )


def _read_batch(text: str) -> tuple[int, int]:
    """Read the batch: `1x8acc` is micro-batch 1 and 8 accumulation steps."""
    found = re.match(r"(\d+)(?:x(\d+)acc)?", text)
    if found is None:
        raise ValueError(f"microbatch {text!r} is no number")
    return int(found[1]), int(found[2] or 1)


def _read_quantization(record: dict[str, str]) -> Quantization:
    method = record["method"].lower()
    if "int8" in method:
        return "8bit"
    if not any(word in method for word in ("qlora", "int4", "4bit")):
        return "none"
    return "gptq" if record["source"].startswith("QwenLM") else "4bit"


def _read_rank(record: dict[str, str]) -> int:
    if record["source"].startswith("QwenLM"):
        return 64
    found = re.search(r"\br(\d+)\b", record["method"])
    return int(found[1]) if found else 8


def _read_targets(record: dict[str, str]) -> tuple[str, ...] | None:
    if record["source"].startswith("QwenLM"):
        return QWEN_TARGETS
    return ("all-linear",) if re.search(r"\ball\b", record["method"]) else None


def _read_size(record: dict[str, str]) -> dict[str, float]:
    text = record["seq_or_res"]
    if text.endswith("px"):
        return {"resolution": int(text.removesuffix("px"))}
    if text.startswith("alpaca"):
        longest = ALPACA_LONGEST if "1304" in text else TORCHTUNE_LONGEST
        return {"sequence_length": longest, "mean_tokens": ALPACA_MEAN}
    return {"sequence_length": int(text)}


def _read_seconds(record: dict[str, str], request: PredictionRequest) -> float | None:
    """Read the seconds of an optimizer step; a step without accumulation is a micro-batch."""
    speed = record["speed"]
    found = re.match(r"~?([\d.]+)", speed)
    if found is None:
        return None
    value = float(found[1])
    samples = request.micro_batch * request.accumulation
    if (steps := re.search(r" h / (\d+) opt steps", speed)) is not None:
        return value * 3600 / int(steps[1])
    if "min/1k it" in speed:
        return value * 60 / 1000 * request.accumulation
    if "tok/s" in speed:
        return samples * (request.sequence_length or 0) / value
    if "samples/s" in speed or "ex/s" in speed:
        return samples / value
    return value if "s/it" in speed else request.accumulation / value


def _read_memory(text: str, gpus: int, *, gib_per_gb: float) -> float | None:
    """Read the GiB of one GPU."""
    found = re.match(r"[\d.]+", text)
    if found is None:
        return None
    shared_by = gpus if "sum" in text else 1
    return float(found[0]) * gib_per_gb / shared_by


def _name_program(record: dict[str, str]) -> str:
    return record["source"].split()[0]


def _name_trainer(record: dict[str, str]) -> str:
    return UNSLOTH if UNSLOTH in record["method"].lower() else "plain"
