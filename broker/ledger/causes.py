"""Why runs end and why usage is borne: one enumeration, so that who pays for lost work is read from one word. Pure."""

from enum import StrEnum


class Cause(StrEnum):
    """How a run ended, or why the house bears some of its usage.

    Up to LOSS_NOT_FINITE it is the customer's doing, who pays for all of it up to what was promised; from OUT_OF_MEMORY
    on it is ours. OVER_PROMISE ends no run: it is usage beyond what its customer was promised to pay at most.
    """

    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    LIMIT = "limit"
    BUDGET = "budget"
    BALANCE = "balance"
    CONTRACT_ENDED = "contract_ended"
    BAD_CONFIG = "bad_config"
    BAD_INPUT = "bad_input"
    LOSS_NOT_FINITE = "loss_not_finite"

    OUT_OF_MEMORY = "out_of_memory"
    CHECKPOINT_UNUSABLE = "checkpoint_unusable"
    BROKER_REFUSED = "broker_refused"
    INTERNAL_ERROR = "internal_error"
    LAUNCH_FAILED = "launch_failed"
    MACHINE_LOST = "machine_lost"
    PREEMPTED = "preempted"
    SHUTDOWN = "shutdown"

    OVER_PROMISE = "over_promise"
