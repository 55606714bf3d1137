"""Published speeds and peaks of LoRA training, read from tables of one form; `sources.yaml` says how each is read."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.estimator.conditions import Conditions, find_conditions
from pricing.estimate.prediction_request import PredictionRequest
from pricing.resources.method import Quantization
from pricing.resources.shipped_constants import Kind

# The Alpaca data, in the usual template: its longest row as litgpt states it, and the mean that is used for it.
ALPACA_LONGEST, ALPACA_MEAN = 1304, 180
# torchtune's recipes pack nothing and state no length; the longest row of a batch of two is taken as this.
TORCHTUNE_LONGEST = 512
WITHOUT_BF16 = ("V100", "RTX2080", "T4")
METHODS: dict[Quantization, Literal["lora", "qlora-nf4", "lora-int8"]] = {
    "none": "lora",
    "8bit": "lora-int8",
    "4bit": "qlora-nf4",
    "gptq": "qlora-nf4",
}
UNSTATED_GPUS = {"1 GPU": "A100-40G", "A100 (header lost)": "A100-40G"}
NO_LENGTH = "its length is not stated"
UNSLOTH = "unsloth"
LeftOpen = Literal["time", "memory", "both"]
WITHOUT_UPCASTING = "without peft's upcasting"


@dataclass(frozen=True)
class PublishedRow:
    """One figure. Units: seconds of an optimizer step; GiB of one GPU; None where the source has no such figure.

    `is_whole_run`: the seconds are those of a whole run over its steps, and not of steps that were timed alone.
    `trainer` tells the programs of one source apart. `quantization` may be one that a request cannot name.
    `judged_set` numbers the set in which the row has judged; `judged_seconds` and `judged_gib` are what was estimated
    then, before anybody had seen it. None of one that never has. `leaves_open`: of which figure its source leaves
    something open that a request must say, so that it judges no median of it but the coverage of p90 alone.
    """

    source: str
    conditions: Conditions
    trainer: str
    request: PredictionRequest
    quantization: Quantization
    seconds: float | None
    memory_gib: float | None
    is_whole_run: bool = False
    judged_set: int | None = None
    judged_seconds: float | None = None
    judged_gib: float | None = None
    leaves_open: LeftOpen | None = None

    @property
    def program(self) -> str:
        return self.conditions.program

    @property
    def kind(self) -> str:
        """Name the kind of job: pictures, or text with weights in 16 bit or in fewer."""
        if self.request.resolution is not None:
            return "pictures"
        return "text LoRA" if self.quantization == "none" else "text QLoRA"

    @property
    def interval_kind(self) -> Kind:
        """Name the kind of job whose errors make its interval."""
        return "text" if self.request.resolution is None else "pictures"


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
    conditions = find_conditions(record["source"])
    quantization = _read_quantization(record, conditions)
    trainer = UNSLOTH if UNSLOTH in record["method"].lower() else "plain"
    request = _read_request(record, conditions, quantization, trainer)
    return PublishedRow(
        source=record["source"].split(" (")[0],
        conditions=conditions,
        trainer=trainer,
        request=request,
        quantization=quantization,
        seconds=_read_seconds(record, request, conditions),
        memory_gib=_read_memory(record["peak_vram_gb"], request.gpus, conditions),
        is_whole_run=conditions.whole_run or " opt steps" in record["speed"],
    )


def _read_request(
    record: dict[str, str], conditions: Conditions, quantization: Quantization, trainer: str
) -> PredictionRequest:
    """Read what was run; kernels of a program's own are fused by hand, and Unsloth's loss is taken in pieces."""
    micro_batch, accumulation = _read_batch(record["microbatch"])
    return PredictionRequest(
        base_model=re.sub(r" 1\.3B$", "", record["model"]),
        gpu=UNSTATED_GPUS.get(record["gpu"], record["gpu"]),
        gpus=int(record["n_gpu"]),
        method=METHODS[quantization],
        precision=conditions.precision or _read_precision(record),
        rank=_read_rank(record, conditions),
        target_modules=_read_targets(record, conditions),
        micro_batch=micro_batch,
        accumulation=accumulation,
        gradient_checkpointing={"y": True, "n": False}.get(record["grad_ckpt"][:1], conditions.checkpointing),
        cached_latents=not conditions.encodes,
        loss="chunked" if trainer == UNSLOTH else conditions.packed_loss if quantization != "none" else None,
        unpacked_bits=16 if WITHOUT_UPCASTING in record["note"] else conditions.unpacked_bits,
        adapter_bits=conditions.adapter_bits,
        grouped=conditions.grouped,
        compiled=True if trainer == UNSLOTH or "FUSED" in record["note"] else None,
        attention=conditions.attention,
        **_read_size(record, conditions),
    )


def _read_precision(record: dict[str, str]) -> Literal["bf16", "fp16"]:
    return "fp16" if "fp16" in record["method"] or record["gpu"].startswith(WITHOUT_BF16) else "bf16"


def _read_batch(text: str) -> tuple[int, int]:
    """Read the batch: `1x8acc` is micro-batch 1 and 8 accumulation steps."""
    found = re.match(r"(\d+)(?:x(\d+)acc)?", text)
    if found is None:
        raise ValueError(f"microbatch {text!r} is no number")
    return int(found[1]), int(found[2] or 1)


def _read_quantization(record: dict[str, str], conditions: Conditions) -> Quantization:
    method = record["method"].lower()
    if "int8" in method:
        return "8bit"
    return conditions.four_bit if any(word in method for word in ("qlora", "int4", "4bit")) else "none"


def _read_rank(record: dict[str, str], conditions: Conditions) -> int:
    found = re.search(r"\br(\d+)\b", record["method"])
    return int(found[1]) if found else conditions.rank


def _read_targets(record: dict[str, str], conditions: Conditions) -> tuple[str, ...] | None:
    """Read the adapted modules: named in brackets, all, or those that the source always takes."""
    if (named := re.search(r"\[([\w,. ]+)\]", record["method"])) is not None:
        return tuple(name.strip() for name in named[1].split(","))
    return ("all-linear",) if re.search(r"\ball\b", record["method"]) else conditions.targets


def _read_size(record: dict[str, str], conditions: Conditions) -> dict[str, float]:
    """Read the size of a sample; where only the longest is stated, half of it stands for the mean."""
    text = record["seq_or_res"]
    if text.endswith("px"):
        return {"resolution": int(text.removesuffix("px"))}
    if text.startswith("alpaca"):
        longest = ALPACA_LONGEST if "1304" in text else TORCHTUNE_LONGEST
        return {"sequence_length": longest, "mean_tokens": ALPACA_MEAN}
    longest = int(text)
    return {"sequence_length": longest} | ({"mean_tokens": longest / 2} if conditions.lengths == "longest" else {})


def _read_seconds(record: dict[str, str], request: PredictionRequest, conditions: Conditions) -> float | None:
    """Read the seconds of an optimizer step; a step without accumulation is a micro-batch.

    A speed over rows of which only the longest is stated says nothing of a step.
    """
    speed = record["speed"]
    found = re.match(r"~?([\d.]+)", speed)
    if found is None or conditions.lengths == "longest" or "mean length not stated" in record["note"]:
        return None
    value = float(found[1])
    samples = request.micro_batch * request.accumulation * (request.gpus if conditions.speed == "all_gpus" else 1)
    if (steps := re.search(r" h / (\d+) opt steps", speed)) is not None:
        return value * 3600 / int(steps[1])
    if "min/1k it" in speed:
        return value * 60 / 1000 * request.accumulation
    if "tok/s" in speed:
        return samples * (request.mean_tokens or request.sequence_length or 0) / value
    if "samples/s" in speed or "ex/s" in speed:
        return samples / value
    return value if re.search(r"s/(it|step)", speed) else request.accumulation / value


def _read_memory(text: str, gpus: int, conditions: Conditions) -> float | None:
    """Read the GiB of one GPU; an upper bound is none."""
    found = re.match(r"[\d.]+", text)
    if found is None:
        return None
    shared_by = gpus if "sum" in text else 1
    in_gib = 1.0 if "GiB" in text else conditions.gib_per_gb
    return float(found[0]) * in_gib / shared_by
