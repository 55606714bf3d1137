"""API shapes of what a customer orders: one job, or many configurations of one data set as a batch."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from broker.customer_secrets.schemas import SecretName
from broker.http.labels import Labels
from broker.http.plain_text import PlainLine, PlainText
from broker.http.shapes import MaxCost, Moment, Reason, RequestBody, Whole
from broker.jobs.running.notes import Annotation
from broker.quotes.shapes.config_schemas import CONFIG_EXAMPLE, ConfigIn
from broker.quotes.shapes.schemas import Gpus
from broker.templates.schemas import TemplateName
from pricing.estimate.type_choice import Preference
from pricing.money import Money

LONGEST_NAME, LONGEST_NOTES = 200, 4_000
ANNOTATED = ("name", "notes", "pinned", "pinned_steps")
MOST_PINNED_STEPS = 50
MOST_GPU_TYPES = 20
MOST_JOBS = 100
GpuType = Annotated[PlainLine, Field(min_length=1, max_length=64)]


class TrackerIn(RequestBody):
    """Which tracker of the customer's own the runs tell."""

    secret: SecretName = Field(description="The secret with its address and key, by name.", examples=["wandb-team"])
    project: PlainLine | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="The project there (W&B, SwanLab), or the experiment (MLflow); default: `lora`.",
        examples=["styles"],
    )


class OrderIn(RequestBody):
    """What is said alike of a job and of each job of a batch."""

    dataset_id: str = Field(description="An uploaded data set.", examples=["dat_01k"])
    contract_id: str | None = Field(
        default=None, description="Needed only where several contracts are in force.", examples=["con_01k"]
    )
    project_id: str | None = Field(
        default=None, description="For reports and the adapter's name.", examples=["prj_01k"]
    )
    template: TemplateName | None = Field(
        default=None,
        description="A template to fill the configuration in from, by its name or id, with `@` and a version where not "
        "the newest is meant: `config` has what the job changes of it, or is empty. Its project is the job's.",
        examples=["template_sd_v15@3"],
    )
    tracker: TrackerIn | None = Field(
        default=None,
        description="A tracker of yours that the runs tell, by a secret's name: MLflow, W&B or SwanLab.",
        examples=[{"secret": "wandb-team", "project": "styles"}],
    )
    labels: Labels = Field(default_factory=dict)
    queue: str | None = Field(default=None, description="Default: the plan's own queue.", examples=["standard"])
    max_cost: MaxCost | None = Field(
        default=None,
        description="Most a job may cost, in yuan; it is paused when it has cost so much, and not at its quote where "
        "that is less.",
        examples=["38.20"],
    )
    gpu_types: list[GpuType] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_GPU_TYPES,
        description="The GPU types that a job may run on, of those of its quote that it fits on; default: all of these "
        "that the contract can pay for, and those of pools that open later and keep its promise. The hold covers each, "
        "and so its promise is that of the dearest.",
        examples=[["rtx-4090", "h100-80g"]],
    )
    prefer: Preference = Field(
        default=Preference.CHEAPEST,
        description="Which of them it would rather have: the cheapest, or the fastest.",
        examples=["fastest"],
    )
    finish_by: Moment | None = Field(
        default=None,
        description="When a job should have ended (UTC), were it alone: it runs on no type on which nine of ten such "
        "jobs would not. A date that cannot be met is refused with the earliest that can.",
        examples=["2026-11-24T18:00:00Z"],
    )
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])

    def read_max_cost(self) -> Money | None:
        return None if self.max_cost is None else Money.from_decimal(self.max_cost)


class JobIn(OrderIn):
    config: ConfigIn
    quote_id: str | None = Field(
        default=None, description="The quote to submit with; default: one is made.", examples=["quo_01k"]
    )
    name: PlainLine | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_NAME,
        description="A name for people, to find the job by.",
        examples=["brand tone, rank 16"],
    )
    gpus: Gpus | None = Field(
        default=None, description="So many GPUs of one machine; default: as the quote says, or one.", examples=[1]
    )


class JobBatchIn(OrderIn):
    configs: list[ConfigIn] = Field(
        min_length=1,
        max_length=MOST_JOBS,
        description="Configurations to train, a job each; each with the keys of the trainer's YAML file.",
        examples=[[CONFIG_EXAMPLE, {**CONFIG_EXAMPLE, "lora_rank": 16}]],
    )
    at_once: int | None = Field(
        default=None,
        ge=1,
        le=MOST_JOBS,
        description="So many of them may run at one time, in their order; 1: one after another. Default: all.",
        examples=[2],
    )
    name: PlainLine | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_NAME - 5,
        description="A name for people; each job has it with its number.",
        examples=["ranks of the brand tone"],
    )
    gpus: Gpus = 1


class JobResumeIn(RequestBody):
    max_cost: MaxCost | None = Field(
        default=None,
        description="Most the whole job may cost from now on, in yuan; more than it has cost so far.",
        examples=["50.00"],
    )

    def read_max_cost(self) -> Money | None:
        return None if self.max_cost is None else Money.from_decimal(self.max_cost)


class PrioritiesIn(RequestBody):
    """A priority for several jobs at once, by ops."""

    job_ids: list[Annotated[PlainLine, Field(min_length=1, max_length=LONGEST_NAME)]] = Field(
        min_length=1,
        max_length=MOST_JOBS,
        description="A hundred jobs at most.",
        examples=[["job_01k", "job_02k"]],
    )
    priority: int | None = Field(
        ge=0,
        le=1_000_000,
        description="Their own priority, in place of their queue's: the higher goes first; null: their queue's.",
        examples=[250],
    )
    reason: Reason


class JobPatch(RequestBody):
    """What of a job is changed: by its customer its name, notes and pin, and while it waits its GPU types; by ops its
    priority, with a reason.
    """

    name: PlainLine | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_NAME,
        description="A name for people; null: none. The adapter keeps that of its time.",
        examples=["brand tone, best so far"],
    )
    notes: PlainText | None = Field(
        default=None,
        max_length=LONGEST_NOTES,
        description="What its customer notes of it, for itself; null: nothing.",
        examples=["rank 16 is enough; do not raise the rate again"],
    )
    pinned: bool | None = Field(
        default=None, description="Whether it stands first in lists that ask for it.", examples=[True]
    )
    pinned_steps: list[Annotated[Whole, Field(ge=1)]] | None = Field(
        default=None,
        max_length=MOST_PINNED_STEPS,
        description="The steps whose samples are pinned, all of them: they stay in sight, however many come.",
        examples=[[120, 480]],
    )

    gpu_types: list[GpuType] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_GPU_TYPES,
        description="All GPU types that it may run on from now on. One that comes in is quoted at the prices of now, "
        "and the job's limit and hold cover it, too.",
        examples=[["rtx-4090", "h100-80g"]],
    )
    priority: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="For ops: its own priority, in place of its queue's: the higher goes first; null: its queue's.",
        examples=[250],
    )
    reason: Reason | None = Field(
        default=None, description="Why its priority changes; its customer reads it.", examples=["their fair"]
    )

    @model_validator(mode="after")
    def _check_what_changes(self) -> Self:
        if not self.model_fields_set & {"gpu_types", "priority", *ANNOTATED}:
            raise ValueError(
                "names nothing to change: send name, notes, pinned, pinned_steps, gpu_types, or priority with a reason"
            )
        if "priority" in self.model_fields_set and self.reason is None:
            raise ValueError("reason is needed with priority: its customer reads it")
        return self

    def read_annotation(self) -> Annotation:
        """Read what is said of the job for people; a pin that is null is none, and a step is pinned once."""
        said = {name: getattr(self, name) for name in ANNOTATED if name in self.model_fields_set}
        if "pinned" in said:
            said["pinned"] = bool(said["pinned"])
        if "pinned_steps" in said:
            said["pinned_steps"] = sorted({*(said["pinned_steps"] or ())})
        return Annotation(said)
