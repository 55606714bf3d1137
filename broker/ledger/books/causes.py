"""Why runs end and why usage is borne: one enumeration, so that who pays for lost work is read from one word. Pure."""

from enum import StrEnum


class Cause(StrEnum):
    """How a run ended, or why the house bears some of its usage.

    Up to LOSS_NOT_FINITE it is the customer's doing, who pays for all of it up to what was promised; from OUT_OF_MEMORY
    on it is ours. The last two end no run: CHECKPOINT_LOST is what a run had used that was to stop with a checkpoint,
    where none came; OVER_PROMISE is usage beyond what its customer was promised to pay at most.
    """

    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    LIMIT = "limit"
    BUDGET = "budget"
    BALANCE = "balance"
    CONTRACT_ENDED = "contract_ended"
    ARREARS = "arrears"
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
    QUOTA = "quota"
    SHUTDOWN = "shutdown"
    NODE_DOWN = "node_down"

    CHECKPOINT_LOST = "checkpoint_lost"
    OVER_PROMISE = "over_promise"


# The ends that are our doing: what a run used after its last durable checkpoint is borne.
OUR_DOING = frozenset(
    {
        Cause.OUT_OF_MEMORY,
        Cause.CHECKPOINT_UNUSABLE,
        Cause.BROKER_REFUSED,
        Cause.INTERNAL_ERROR,
        Cause.LAUNCH_FAILED,
        Cause.MACHINE_LOST,
        Cause.PREEMPTED,
        Cause.QUOTA,
        Cause.SHUTDOWN,
        Cause.NODE_DOWN,
    }
)
# The stops at which a run writes a checkpoint within its grace. A cancellation keeps nothing, and writes none.
WITH_CHECKPOINT = frozenset(
    {Cause.PAUSED, Cause.LIMIT, Cause.BUDGET, Cause.BALANCE, Cause.CONTRACT_ENDED, Cause.ARREARS}
)
