"""The training configuration: one model for the keys of the trainer's YAML file and of `config` in the REST API."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# What only a standalone trainer knows: a job of the broker takes its data, output and checkpoint from the broker.
PATH_KEYS = frozenset(
    {"train_data_dir", "metadata_path", "reg_data_dir", "output_dir", "resume_from", "resume", "init_from", "log_to"}
)
ALL_LINEAR = "all-linear"

# Of these a job may name what it starts from: by the id of an adapter that the broker keeps.
JOB_PATH_KEYS = PATH_KEYS - {"init_from"}


class TrainingConfig(BaseModel):
    """What to train and how. Lengths are in tokens, sizes in rows, the learning rate per optimizer step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model: str = Field(
        min_length=1,
        description="A base model of the catalogue, or (trainer standalone) the path of a model folder or GGUF file.",
        examples=["smollm2-135m-instruct"],
    )
    train_data_dir: str | None = Field(
        default=None, description="Folder with the training data (trainer standalone).", examples=["./data/style_train"]
    )
    metadata_path: str | None = Field(
        default=None,
        description="The metadata file, where it is not inside train_data_dir (trainer standalone).",
        examples=["./data/style_train/metadata.csv"],
    )
    output_dir: str = Field(
        default="./output",
        description="Where checkpoints and the adapter are written (trainer standalone).",
        examples=["./output/my_style_lora"],
    )
    resume_from: str | None = Field(
        default=None,
        description="A checkpoint folder of an earlier run, to go on from (trainer standalone).",
        examples=["./output/my_style_lora/checkpoints/step-00000100"],
    )
    resume: Literal["never", "auto"] = Field(
        default="never",
        description="auto goes on from the last checkpoint in output_dir, if there is one (trainer standalone).",
        examples=["auto"],
    )
    init_from: str | None = Field(
        default=None,
        description="An existing adapter to start from; the rank and the modules must be its own. Its file, or in a "
        "job of the broker the id of an adapter of the same customer.",
        examples=["./output/my_style_lora/adapter_model.safetensors"],
    )
    log_to: Literal["tensorboard", "mlflow", "wandb", "swanlab"] | None = Field(
        default=None,
        description="Tell loss and learning rate there as well: tensorboard writes to output_dir/logs, the others are "
        "services, whose own environment variables say where and as whom (trainer standalone).",
        examples=["tensorboard"],
    )
    variant: Literal["lora", "rslora", "dora", "lokr"] = Field(
        default="lora", description="Kind of adapter: LoRA, rank-stabilized LoRA, DoRA or LoKr.", examples=["lora"]
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
        description="Names of the modules that get LoRA matrices, or all-linear; by default those of the base model's "
        "profile.",
        examples=[["q_proj", "v_proj"]],
        json_schema_extra={
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"const": ALL_LINEAR},
                {"type": "null"},
            ]
        },
    )
    batch_size: int = Field(
        default=4, ge=1, le=4096, description="Rows that go through the model at once.", examples=[4]
    )
    gradient_accumulation: int = Field(
        default=1, ge=1, le=4096, description="Batches in one optimizer step: their loss is one mean.", examples=[4]
    )
    gradient_checkpointing: Literal["auto", True, False] = Field(
        default="auto",
        description="Compute activations twice instead of keeping them; auto does so where memory would not do.",
        examples=["auto"],
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Number format of the base model; auto is bf16, on a GPU without it fp16, on a CPU fp32.",
        examples=["bf16"],
    )
    quantization: Literal["none", "8bit", "4bit"] = Field(
        default="none", description="Keep the base in 8 or 4 bit (bitsandbytes and a GPU).", examples=["4bit"]
    )
    packing: bool = Field(
        default=True,
        description="Lay the rows of a batch end to end instead of padding them; rows never see each other.",
        examples=[True],
    )
    epochs: int = Field(default=10, ge=1, le=10_000, description="Passes over the data.", examples=[10])
    max_steps: int | None = Field(
        default=None, ge=1, le=10_000_000, description="Stop after so many steps, if epochs are more.", examples=[500]
    )
    validation_split: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Share of the rows that is held out; its loss is measured after every epoch.",
        examples=[0.1],
    )
    sample_prompts: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        description="Prompts that are answered at every checkpoint and at the end.",
        examples=[["Write one line about tea."]],
    )
    learning_rate: float = Field(
        default=2e-4, gt=0, le=1, description="Peak learning rate; by default 1 for prodigy.", examples=[2e-4]
    )
    optimizer: Literal["adamw", "adamw8bit", "lion", "prodigy", "adafactor", "schedule-free"] = Field(
        default="adamw", description="Optimizer; prodigy finds its own step size.", examples=["adamw"]
    )
    lr_scheduler: Literal["constant", "linear", "cosine"] = Field(
        default="cosine", description="Course of the learning rate after the warm-up.", examples=["cosine"]
    )
    warmup_steps: int = Field(default=0, ge=0, le=10_000_000, description="Steps of linear warm-up.", examples=[10])
    max_length: int = Field(
        default=512, ge=8, le=131_072, description="Tokens a row is cut to (prompt and completion).", examples=[256]
    )
    save_steps: int = Field(
        default=100, ge=1, le=10_000_000, description="Steps between two checkpoints.", examples=[100]
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of shuffling, dropout and initial weights.", examples=[42]
    )

    skip_bad_rows: bool = Field(
        default=False,
        description="Train without the rows and pictures that cannot be used, instead of refusing the data.",
        examples=[True],
    )
    max_bad_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Train without what cannot be used as long as it is no more than this share of the rows and "
        "pictures; more refuses the data.",
        examples=[0.02],
    )
    default_caption: str | None = Field(
        default=None,
        min_length=1,
        max_length=2000,
        description="Caption of pictures that have none (images).",
        examples=["a picture in my style"],
    )
    resolution: int | None = Field(
        default=None,
        ge=64,
        le=4096,
        description="Pictures train at this many pixels squared; by default 512, for SDXL 1024 (images).",
        examples=[512],
    )
    aspect_buckets: bool = Field(
        default=True,
        description="Keep the shape of pictures, at the area of `resolution`; else every picture is cropped square.",
        examples=[True],
    )
    flip: bool = Field(
        default=False, description="Mirror every second picture at random, left to right (images).", examples=[True]
    )
    caption_dropout: float = Field(
        default=0.0, ge=0, le=1, description="Share of captions that are left empty (images).", examples=[0.1]
    )
    noise_offset: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Shift of the noise's mean, for darker and lighter pictures.",
        examples=[0.05],
    )
    min_snr_gamma: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="Weigh the noise levels by min(SNR, gamma) (images); 5 is usual.",
        examples=[5.0],
    )
    prediction_type: Literal["auto", "epsilon", "v_prediction"] = Field(
        default="auto", description="What the UNet predicts; auto is what the base model says.", examples=["auto"]
    )
    train_text_encoder: bool = Field(
        default=False, description="Put LoRA matrices on the text encoders as well (images).", examples=[True]
    )
    reg_data_dir: str | None = Field(
        default=None,
        description="Pictures of the class without the subject, which keep what the base knows (trainer standalone).",
        examples=["./data/regularisation"],
    )
    prior_loss_weight: float = Field(
        default=1.0, ge=0, le=10, description="Weight of the loss of regularisation pictures.", examples=[1.0]
    )
    clip_skip: int = Field(
        default=1,
        ge=1,
        le=12,
        description="The layer of CLIP, from its end, that captions are read from (SD 1.5); 2 for anime models.",
        examples=[2],
    )

    auto_fit: bool = Field(
        default=False,
        description="On running out of memory try again with the first setting that the estimate says would fit.",
        examples=[True],
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_the_step_size_to_prodigy(cls, raw: Any) -> Any:
        """Multiply the step size that prodigy finds by 1, its usual learning rate. Source: README of `prodigyopt`."""
        if isinstance(raw, Mapping) and raw.get("optimizer") == "prodigy" and "learning_rate" not in raw:
            return {**raw, "learning_rate": 1.0}
        return raw

    @field_validator("target_modules", mode="before")
    @classmethod
    def _take_one_name_for_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def tolerates_bad(self, bad: int, *, of: int) -> bool:
        """Tell whether so many rows or pictures that cannot be used, `of` all that were read, are left out."""
        return self.skip_bad_rows or (self.max_bad_share is not None and bad <= self.max_bad_share * of)

    @property
    def rows_per_step(self) -> int:
        return self.batch_size * self.gradient_accumulation

    @model_validator(mode="after")
    def _check_keys_that_exclude_each_other(self) -> Self:
        if self.resume == "auto" and self.resume_from is not None:
            raise ValueError("resume: auto and resume_from name two places to go on from; leave one out")
        if self.variant == "lokr" and self.lora_dropout:
            raise ValueError("variant: lokr has no dropout on its input; set lora_dropout: 0")
        if self.target_modules is not None and ALL_LINEAR in self.target_modules and len(self.target_modules) > 1:
            raise ValueError("target_modules is either all-linear or names, not both")
        if self.reg_data_dir is not None and self.train_data_dir is None:
            raise ValueError("reg_data_dir needs train_data_dir beside it")
        return self

    @model_validator(mode="after")
    def _check_metadata_has_a_home(self) -> Self:
        if self.metadata_path is not None and self.train_data_dir is None:
            raise ValueError("metadata_path needs train_data_dir beside it")
        return self
