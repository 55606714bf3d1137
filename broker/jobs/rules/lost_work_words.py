"""What is said of lost work to the customer who does not pay for it. Pure."""

from collections.abc import Mapping

from broker.ledger.books.causes import Cause
from pricing.usage import Usage

REASONS: Mapping[Cause, str] = {
    Cause.OUT_OF_MEMORY: "the memory that it was given did not suffice",
    Cause.CHECKPOINT_UNUSABLE: "its checkpoint could not be used",
    Cause.BROKER_REFUSED: "what it had made was not taken",
    Cause.INTERNAL_ERROR: "something of ours failed",
    Cause.LAUNCH_FAILED: "it could not be started",
    Cause.MACHINE_LOST: "the machine was lost",
    Cause.PREEMPTED: "it had to make room",
    Cause.QUOTA: "operations lowered a limit of its queue or contract",
    Cause.SHUTDOWN: "the machine was shut down",
    Cause.NODE_DOWN: "the machine is down",
    Cause.CHECKPOINT_LOST: "its last checkpoint did not reach us",
    Cause.OVER_PROMISE: "they go beyond what was promised",
}


def explain_lost_work(usage: Usage, cause: Cause, after_step: int | None) -> str:
    """Explain what the customer of a run does not pay for, and why, as a sentence without its full stop.

    `after_step` None: the run had no checkpoint yet.
    """
    counts = _count(usage.gpu_seconds, "GPU-second"), _count(usage.tokens, "token")
    named = " and ".join(count for count in counts if count)
    is_one = usage.gpu_seconds + usage.tokens == 1
    since = " before its first checkpoint" if after_step is None else f" after step {after_step:,}"
    return f"{named}{since} {'is' if is_one else 'are'} on us: {REASONS[cause]}"


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}" if number else ""
