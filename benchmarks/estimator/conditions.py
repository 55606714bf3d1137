"""What holds for all rows of a published source: its program, what it serves for, and how its figures are read."""

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from pricing.resources.method import Loss, Quantization

FILE = Path(__file__).parent / "sources.yaml"


class Conditions(BaseModel):
    """The conditions of a source, found by how its name begins; `sources.yaml` says what each means."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str
    program: str
    serves: Literal["fit", "judge"]
    lengths: Literal["stated", "longest"] = "stated"
    memory: Literal["driver", "reserved", "allocated"] = "driver"
    gib_per_gb: float = 1.0
    speed: Literal["one_gpu", "all_gpus"] = "one_gpu"
    whole_run: bool = False
    encodes: bool = False
    precision: Literal["fp32"] | None = None
    checkpointing: bool | None = None
    attention: Literal["eager"] | None = None
    rank: int = 8
    targets: tuple[str, ...] | None = None
    four_bit: Quantization = "4bit"
    unpacked_bits: Literal[16, 32] | None = None
    adapter_bits: Literal[16, 32] | None = None
    grouped: bool | None = None
    packed_loss: Loss | None = None


@cache
def load_conditions() -> tuple[Conditions, ...]:
    return tuple(TypeAdapter(list[Conditions]).validate_python(yaml.safe_load(FILE.read_text(encoding="utf-8"))))


def find_conditions(source: str) -> Conditions:
    """Find the conditions of a source; one that the table does not name is a program of its own, and only judges."""
    for found in load_conditions():
        if source.startswith(found.source):
            return found
    return Conditions(source=source, program=source.split(maxsplit=1)[0], serves="judge")
