"""The work of one run, counted before it starts: the value that counting ends in and that estimates begin with."""

from dataclasses import dataclass


class NoUsableRow(ValueError):
    """The data set has no row to train on."""

    def __init__(self) -> None:
        super().__init__("the data set has no usable row")


@dataclass(frozen=True)
class Workload:
    """The work of one run.

    Units: rows (or pictures) of one epoch; steps, micro-batches, samples, tokens and positions of all epochs. `tokens`
    is exact, what is billed. `loss_tokens` of them are learnt, the others are context; None where that is not known.
    `padding_tokens` are computed beside them in an unpacked batch: an expectation over shuffles, and not billed.
    `positions` is all that is computed: tokens with their padding, or latent positions; `longest` are those of the
    longest sample. `evaluated_positions` go forward only, to measure the validation loss: they take time, but train
    nothing and are not billed. `encoded_pictures` go through the VAE once, before the first step; one that is mirrored
    counts twice.
    """

    rows: int
    steps: int
    micro_batches: int
    samples: int
    tokens: int
    positions: int
    longest: int
    evaluated_positions: int = 0
    encoded_pictures: int = 0
    loss_tokens: int | None = None
    padding_tokens: int = 0

    @property
    def samples_per_micro_batch(self) -> float:
        return self.samples / self.micro_batches

    @property
    def positions_per_sample(self) -> float:
        return self.positions / self.samples
