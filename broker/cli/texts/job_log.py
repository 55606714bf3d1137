"""What happened to a job, event by event, in words. Pure."""

import json
from datetime import datetime
from typing import Any

from rich.text import Text

from broker.cli.output import clean, cut, one_line
from broker.cli.texts.columns import fold
from broker.cli.texts.values import describe_local
from broker.cli.words import say, translate
from broker.client.objects.jobs import JobEvent

CLOCK_CELLS = 13  # `24 Nov 23:40` and a space


def make_event_line(event: JobEvent, now: datetime, width: int | None) -> Text:
    """Make the one line of an event, cut where it is too wide."""
    return cut(_begin(event, now).append(one_line(describe_event(event))), width)


def make_event_text(event: JobEvent, now: datetime, width: int) -> list[Text]:
    """Make the lines of an event, with all that it says."""
    first, *more = fold(describe_event(event), width - CLOCK_CELLS)
    return [_begin(event, now).append(first), *(Text(" " * CLOCK_CELLS + line) for line in more)]


def _begin(event: JobEvent, now: datetime) -> Text:
    return Text(describe_local(event["created_at"], now).ljust(CLOCK_CELLS), "dim")


SENTENCES = {
    "submitted": "submitted to queue {queue}",
    "dispatched": "attempt {attempt} handed to pool {pool}",
    "started": "attempt {attempt} started",
    "checkpoint_saved": "checkpoint saved at step {step}",
    "checked": "the data set was checked: {error} errors, {warning} warnings, {hint} hints",
    "captions_kept": "{pictures} captions kept as version {version} of the data set: {dataset_id}",
    "validated": "step {step}: validation loss {loss}",
    "overfitting_noticed": "step {step}: {message}",
    "sampled": "step {step}: {prompt}\n  {text}",
    "limit_raised": "may cost up to {max_cost} CNY from now on",
    "stop_requested": "told to stop: {reason}",
}


def describe_event(event: JobEvent) -> str:
    """Describe an event; a picture is not printed as its bytes, and what has no sentence here is told as it is."""
    data = {name: _describe_value(value) for name, value in event["data"].items()}
    if "image" in event["data"]:
        data["text"] = say("(a picture; --json has it)")
    try:
        return say(SENTENCES[event["kind"]], **data)
    except KeyError:
        return _describe_other(event)


def _describe_value(value: Any) -> str:
    if value is None:
        return say("not finite")
    return f"{value:.3f}" if isinstance(value, float) else clean(value)


def _describe_other(event: JobEvent) -> str:
    words = translate(event["kind"].replace("_", " "))
    told = event["data"].get("explanation") or event["data"].get("reason")
    if told or not event["data"]:
        return f"{words}: {clean(told)}" if told else words
    return f"{words} {clean(json.dumps(event['data'], ensure_ascii=False))}"
