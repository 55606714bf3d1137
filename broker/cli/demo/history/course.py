"""What will become of each job of a history: how long it takes, and how its first run ends."""

from dataclasses import dataclass, field
from enum import StrEnum

from broker.cli.demo.history.voices import Voice


class Fate(StrEnum):
    """How the first run of a job goes; further ones go well, but for what is wrong with the job itself."""

    SUCCEED = "succeed"
    BAD_INPUT = "bad_input"
    LOSS_NOT_FINITE = "loss_not_finite"
    OUT_OF_MEMORY = "out_of_memory"
    LOSE = "lose"
    CANCEL = "cancel"
    PAUSE = "pause"
    SHUT_DOWN = "shut_down"


FAILURES = {
    Fate.BAD_INPUT: "a picture of the data set cannot be read; upload it again (made up)",
    Fate.LOSS_NOT_FINITE: "the loss is not finite after step {step}; lower learning_rate (made up)",
    Fate.OUT_OF_MEMORY: "the GPU's memory is full; set batch_size: 2 (made up)",
}


@dataclass
class Course:
    """How far a job is, and what it takes. Units: seconds of one GPU by its type; shares of the whole.

    `pace` is how much longer than estimated the jobs of its order take. `reported` are its runs' intervals that
    somebody may correct later: run, number and GPU-seconds.
    """

    job_id: str
    voice: Voice
    seconds: dict[str, int]
    tokens: int
    rank: int
    fate: Fate
    pace: float = 1.0
    saved: float = 0.0
    runs: int = 0
    reported: list[tuple[str, int, int]] = field(default_factory=list)
