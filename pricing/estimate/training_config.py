"""The training configuration: one model for the keys of the trainer's YAML file and of `config` in the REST API."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PATH_KEYS = frozenset({"train_data_dir", "metadata_path", "output_dir", "resume_from"})


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with one key: the dotted path of the key and what to do about it."""

    field: str
    message: str


class ConfigInvalid(ValueError):
    """The training configuration does not validate; `problems` names each key and its cure."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))


class TrainingConfig(BaseModel):
    """What to train and how. Lengths are in tokens, sizes in rows, the learning rate per optimizer step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model: str = Field(
        min_length=1,
        description="A base model of the catalogue, or (trainer alone) the path of a model folder or GGUF file.",
        examples=["smollm2-135m-instruct"],
    )
    train_data_dir: str | None = Field(
        default=None, description="Folder with the training data (trainer alone).", examples=["./data/style_train"]
    )
    metadata_path: str | None = Field(
        default=None,
        description="The metadata file, where it is not inside train_data_dir (trainer alone).",
        examples=["./data/style_train/metadata.csv"],
    )
    output_dir: str = Field(
        default="./output",
        description="Where checkpoints and the adapter are written (trainer alone).",
        examples=["./output/my_style_lora"],
    )
    resume_from: str | None = Field(
        default=None,
        description="A checkpoint folder of an earlier run, to go on from (trainer alone).",
        examples=["./output/my_style_lora/checkpoints/step-00000100"],
    )
    lora_rank: int = Field(
        default=8, ge=1, le=1024, description="Rank of the LoRA matrices; usual ranks are 4 to 16.", examples=[8]
    )
    lora_alpha: int = Field(
        default=16, ge=1, le=4096, description="LoRA scale numerator; alpha / rank is the scale.", examples=[16]
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout on the LoRA input; 0.1 on small data.", examples=[0.1]
    )
    target_modules: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of the modules that get LoRA matrices; by default those of the base model's profile.",
        examples=[["q_proj", "v_proj"]],
    )
    batch_size: int = Field(default=4, ge=1, le=4096, description="Rows in one step.", examples=[4])
    epochs: int = Field(default=10, ge=1, le=10_000, description="Passes over the data.", examples=[10])
    learning_rate: float = Field(default=2e-4, gt=0, le=1, description="Peak learning rate.", examples=[2e-4])
    lr_scheduler: Literal["constant", "linear", "cosine"] = Field(
        default="cosine", description="Course of the learning rate after the warm-up.", examples=["cosine"]
    )
    warmup_steps: int = Field(default=0, ge=0, description="Steps of linear warm-up.", examples=[10])
    max_length: int = Field(
        default=512, ge=8, le=131_072, description="Tokens a row is cut to (prompt and completion).", examples=[256]
    )
    save_steps: int = Field(default=100, ge=1, description="Steps between two checkpoints.", examples=[100])
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of shuffling, dropout and initial weights.", examples=[42]
    )

    @model_validator(mode="after")
    def _check_metadata_has_a_home(self) -> Self:
        if self.metadata_path is not None and self.train_data_dir is None:
            raise ValueError("metadata_path needs train_data_dir beside it")
        return self


def parse_training_config(raw: Mapping[str, Any]) -> TrainingConfig:
    """Validate a mapping read from YAML or JSON.

    Raises: ConfigInvalid, with one FieldProblem for each wrong key; an unknown key is told the nearest known one.
    """
    try:
        return TrainingConfig.model_validate(dict(raw))
    except ValidationError as error:
        raise ConfigInvalid([_describe(dict(detail)) for detail in error.errors()]) from error


def _describe(detail: dict[str, Any]) -> FieldProblem:
    field = ".".join(str(part) for part in detail["loc"]) or "config"
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(field, TrainingConfig.model_fields, n=1, cutoff=0.5)
        cure = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(TrainingConfig.model_fields)}"
        return FieldProblem(field, f"unknown key; {cure}")
    if detail["type"] == "missing":
        return FieldProblem(field, "this key is required")
    return FieldProblem(field, f"{detail['msg']} (got {detail['input']!r})")
