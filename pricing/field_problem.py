"""What is wrong with one key of something that a person wrote: a training configuration, a rate card."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with one key: the dotted path of the key and what to do about it."""

    field: str
    message: str
