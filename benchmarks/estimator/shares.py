"""How often programs do what a request may leave unsaid: counted in the public tables, each program as one."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.estimator.published import PublishedRow
from pricing.estimate.prediction_request import PredictionRequest

Answer = Callable[[PredictionRequest], bool | None]


def _is(name: str, value: object) -> Answer:
    """Answer where the request states the field, and not where it is left open."""
    return lambda request: None if getattr(request, name) is None else getattr(request, name) == value


def _stands_out(name: str, value: object) -> Answer:
    """Answer of every request: what is not usual is stated, so that what is left open is counted as usual."""
    return lambda request: getattr(request, name) == value


def _evaluates(request: PredictionRequest) -> bool | None:
    return None if request.evaluation_batch is None else request.evaluation_batch > 0


# What each share is of: rows that it is counted in, and whether such a row does it.
QUESTIONS: dict[str, tuple[Callable[[PublishedRow], bool], Answer]] = {
    "checkpointing_quantized": (lambda row: row.kind == "text QLoRA", _is("gradient_checkpointing", True)),
    "checkpointing_text": (lambda row: row.kind == "text LoRA", _is("gradient_checkpointing", True)),
    "checkpointing_pictures": (lambda row: row.kind == "pictures", _is("gradient_checkpointing", True)),
    "eager": (lambda row: row.kind != "pictures", _stands_out("attention", "eager")),
    "half": (lambda row: row.kind != "pictures", _stands_out("loss", "half")),
    "chunked": (lambda row: row.kind != "pictures", _stands_out("loss", "chunked")),
    "narrow": (lambda row: row.kind == "text QLoRA", _stands_out("unpacked_bits", 16)),
    "wide": (lambda row: row.kind == "text LoRA", _stands_out("weight_bits", 32)),
    "narrow_moments": (lambda row: row.kind != "pictures", _is("optimizer_bits", 8)),
    "evaluates": (lambda row: row.kind != "pictures", _evaluates),
    "retained": (
        lambda row: row.kind != "pictures",
        lambda request: request.retains_checkpoints if request.sharded else None,
    ),
    "grouped": (lambda row: row.kind != "pictures", _is("grouped", True)),
}


def count_shares(rows: Sequence[PublishedRow]) -> dict[str, float]:
    """Count every share. Source: Laplace's rule of succession, with programs as the trials."""
    return {name: _follow(_list_answers(rows, *question)) for name, question in QUESTIONS.items()}


def _list_answers(
    rows: Sequence[PublishedRow], counts: Callable[[PublishedRow], bool], answer: Answer
) -> Mapping[str, list[bool]]:
    """List what the rows of each program answer; one whose rows leave it open has no place."""
    answers: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if counts(row) and (said := answer(row.request)) is not None:
            answers[row.program].append(said)
    return answers


def _follow(answers: Mapping[str, list[bool]]) -> float:
    """Find how likely the next program does it."""
    return (sum(_list_means(answers)) + 1) / (len(answers) + 2)


def _list_means(answers: Mapping[str, list[bool]]) -> Iterator[float]:
    return (sum(said) / len(said) for said in answers.values())
