"""What training on pictures will do: its steps and caption tokens, counted before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pricing.training.buckets import Bucket, choose_bucket
from pricing.training.caption_dropout import EMPTY_CAPTION_TOKENS, CaptionDropout, plan_caption_dropout
from pricing.training.config import TrainingConfig
from pricing.training.step_plan import StepPlan, hold_out_copies, plan_steps
from pricing.training.workload import NoUsableRow, Workload

PIXELS_PER_POSITION = 8  # a side of the VAE's latents is an eighth of the picture's


class Repeated(Protocol):
    """A picture of the data: how often an epoch has it, and whether it only keeps what the base model knows."""

    @property
    def repeats(self) -> int: ...

    @property
    def is_regularisation(self) -> bool: ...


Picture = TypeVar("Picture", bound=Repeated)


@dataclass(frozen=True)
class TrainingPicture:
    """A picture as far as the work depends on it. `size`: width and height in pixels, upright. `caption_tokens`: what
    the text encoder reads, begin and end counted. `source`: equal for files of equal content.
    """

    source: str
    size: tuple[int, int]
    caption_tokens: int
    repeats: int = 1
    is_regularisation: bool = False


def repeat_pictures(pictures: Sequence[Picture]) -> list[Picture]:
    """Make up one epoch: each picture as often as its folder says, and as many regularisation pictures as others.

    Source: prior preservation, Ruiz et al. 2022, "DreamBooth", section 3.2; sd-scripts balances the two the same way.
    """
    trained = [picture for picture in pictures if not picture.is_regularisation for _ in range(picture.repeats)]
    prior = [picture for picture in pictures if picture.is_regularisation for _ in range(picture.repeats)]
    if not prior:
        return trained
    return trained + [prior[index % len(prior)] for index in range(len(trained))]


def plan_image_workload(pictures: Sequence[TrainingPicture], config: TrainingConfig, *, resolution: int) -> Workload:
    """Count the work of training on these pictures, in the order of the data.

    `resolution` is what the base model trains at where the configuration gives none. Units: see Workload; positions are
    those of the latents. A batch of several shapes goes through the network once for each: these passes are its
    micro-batches, counted over the first epoch and in that proportion over the others.
    Raises: NoUsableRow.
    Source: MISSION, "What the two meters count": the caption tokens that the text encoder reads.
    """
    rows = repeat_pictures(pictures)
    if not rows:
        raise NoUsableRow
    side = config.resolution or resolution
    buckets = {size: choose_bucket(*size, side, keep_aspect=config.aspect_buckets) for size in {p.size for p in rows}}
    shapes = [buckets[row.size] for row in rows]
    sources = [None if row.is_regularisation else row.source for row in rows]
    trained, held_out = hold_out_copies(sources, config)
    trained_shapes = [shapes[row] for row in trained]
    plan = plan_steps(len(trained), config, groups=trained_shapes)
    dropout = plan_caption_dropout(len(trained), config)
    positions = [count_positions(shape) for shape in shapes]
    return Workload(
        rows=len(trained),
        steps=plan.total_steps,
        micro_batches=_count_passes(plan, trained_shapes, config.batch_size),
        samples=plan.count_rows(),
        tokens=_count_tokens(plan, [rows[row].caption_tokens for row in trained], dropout),
        positions=plan.count_tokens([positions[row] for row in trained]),
        longest=max(positions),
        evaluated_positions=sum(positions[row] for row in held_out) * plan.count_epochs(),
        encoded_pictures=len({picture.source for picture in pictures}) * (2 if config.flip else 1),
    )


def count_positions(bucket: Bucket) -> int:
    """Count the latent positions of a picture of this shape."""
    return (bucket.width // PIXELS_PER_POSITION) * (bucket.height // PIXELS_PER_POSITION)


def _count_tokens(plan: StepPlan, lengths: Sequence[int], dropout: CaptionDropout) -> int:
    """Count the caption tokens of all steps, exactly: those of full captions less what empty ones do without."""
    whole_epochs = plan.total_steps // plan.steps_per_epoch
    spared = [length - EMPTY_CAPTION_TOKENS for length in lengths]
    dropped = sum(dropout.count_drops(row, whole_epochs) * spared[row] for row in range(plan.rows))
    last = (row for row in plan.rows_of_last_epoch() if dropout.drops(row, whole_epochs + 1))
    return plan.count_tokens(lengths) - dropped - sum(spared[row] for row in last)


def _count_passes(plan: StepPlan, shapes: Sequence[Bucket], batch_size: int) -> int:
    batches = plan.count_micro_batches(batch_size)
    if not plan.groups:
        return batches
    first_steps = min(plan.steps_per_epoch, plan.total_steps)
    order = plan.order_of(1)[: first_steps * plan.batch_size]
    passes = seen = 0
    for start in range(0, len(order), plan.batch_size):
        step = order[start : start + plan.batch_size]
        for cut in range(0, len(step), batch_size):
            passes += len({shapes[row] for row in step[cut : cut + batch_size]})
            seen += 1
    return round(batches * passes / seen)
