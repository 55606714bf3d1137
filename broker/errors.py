"""Every error of the domain. The first line of a docstring is the title that clients read, the rest the page behind it.

`problems.py` gives each its HTTP status.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# A disk that takes no more: full, a quota that is used up, or one that its system has made read-only after an error.
FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the request, and the cure."""

    field: str
    message: str


def describe_fault(fault: Mapping[str, Any]) -> str:
    """Describe one fault that pydantic found: where a validator of ours wrote the sentence, that sentence alone."""
    return str(fault["msg"]).removeprefix("Value error, ")


def write_path(location: Sequence[int | str]) -> str:
    """Write where pydantic found a fault as the path of the field; a key of an object is named as its value is."""
    return ".".join(str(part) for part in location if part != "[key]")


class OperatorError(Exception):
    """A setting, or the machine, is not as it must be; the message is one line with the cure. No request causes it."""


class DiskFull(OperatorError):
    """A disk that the broker writes to is full."""

    def __init__(self, place: object, reason: str) -> None:
        super().__init__(
            f"{place} cannot be written ({reason}): free space there, or set BROKER_DATA_DIR to a larger disk"
        )


class DomainError(Exception):
    """The request cannot be done."""

    def __init__(self, detail: str, *, errors: list[FieldError] | None = None, **fields: Any) -> None:
        self.detail = detail
        self.errors = errors or []
        self.fields = fields
        super().__init__(detail)


class NotFound(DomainError):
    """There is no such object.

    It never was, it has been deleted, or it belongs to another tenant: the answer is the same. Look it up in its list.
    """

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"There is no {kind} {object_id}.", kind=kind, id=object_id)


class Unauthenticated(DomainError):
    """A valid API key is needed.

    Send the key as `Authorization: Bearer <API key>`. A key that expired or was revoked is answered like one that is
    unknown; an administrator makes a new one.
    """


class Forbidden(DomainError):
    """The API key's role does not allow this.

    The answer names the roles that may, and yours; `GET /openapi.json` has them for every route (`x-roles`).
    """


class ApprovalNeeded(DomainError):
    """The amount needs two people.

    The operator has set how much one person of staff may give away alone, for each way of giving (`giving`, `allowed`).
    Propose it with `POST /v1/approvals`, with the same body; nothing is booked before another person has approved it.
    """


class InvalidRequest(DomainError):
    """The request does not validate.

    `errors` names each field, parameter or header, with what is wrong and the cure. Nothing was written.
    """


def invalid_field(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {message}", errors=[FieldError(field, message)])


def locate(error: "DomainError", place: int) -> "DomainError":
    """Say that an error is of one of several configurations, by its place; returns it.

    A key of the configuration is found there; any other field is one of the request, for all of them.
    """
    error.detail = f"configs.{place}: {error.detail}"
    error.errors = [
        FieldError(found.field.replace("config.", f"configs.{place}.", 1), found.message)
        if found.field.startswith("config.")
        else found
        for found in error.errors
    ]
    return error


class NameTaken(DomainError):
    """The name is already in use.

    Choose another name, or use the object that has it.
    """


class InvalidTrainingConfig(DomainError):
    """The training configuration does not validate.

    `errors` names each key of the configuration.
    """


class DatasetUnusable(DomainError):
    """The data set cannot be used as it is.

    `errors` names the rows or files. Mend them and upload the data set again; where only some rows or pictures are at
    fault, `skip_bad_rows: true` in the configuration trains without them.
    """


class UploadTooLarge(DomainError):
    """The upload is larger than this broker takes.

    `limit_bytes` is the limit. Send fewer or smaller files, or ask the operator to raise it.
    """


class StorageLimitReached(DomainError):
    """The customer would store more than it may.

    `limit_bytes` is the limit, `used_bytes` what its data sets and open uploads have. Delete some of them, or ask the
    operator to raise it.
    """


class CommitmentRefused(DomainError):
    """The commitment does not fit the plan.

    Every plan has a minimum of committed GPU-hours, `minimum_gpu_hours`; on demand commits to nothing.
    """


class NoContractInForce(DomainError):
    """No contract covers this job.

    Sign a contract, wait until it begins, or name one in `contract_id` where several are in force.
    """


class ContractsOverlap(DomainError):
    """Two contracts with one number would be in force at the same time.

    `contract_id` is the other one. Choose another `contract_number`, or dates at which the other is not in force; a job
    then names the contract that pays.
    """


class PreviewStale(DomainError):
    """What the preview showed is no longer so.

    Something changed between preview and confirmation: ask for the preview again, and confirm that one.
    """


class QuoteExpired(DomainError):
    """The quote has expired.

    Prices are kept for as long as `expires_at` says. Ask for a new quote and submit with that one.
    """


class QuoteMismatch(DomainError):
    """The quote is for another configuration or data set.

    A quote binds for the configuration and the data set that it was made for. Submit these, or quote anew.
    """


class QuoteStale(DomainError):
    """The quote's prices are not those of the contract.

    Also where its grants cover less of the job than the quote shows. Ask for a new quote: it shows what the contract
    charges.
    """


class InsufficientBalance(DomainError):
    """The balance does not cover the job.

    Buy more hours, pay the advance invoice, choose a smaller job, or give the job a `max_cost` that is covered.
    """


class BudgetExceeded(DomainError):
    """The month's budget does not cover the job.

    Choose a smaller job, give it a `max_cost` that is left, wait for the next month, or have the budget raised.
    """


class InArrears(DomainError):
    """The contract is in arrears (欠费): nothing new is sold under it on credit.

    `state` is how far; `owed` is what is overdue. Pay the invoices that `GET /v1/customers/{id}/arrears` lists: a
    payment is always taken, settles the arrears first, and lets what was paused go on. In `grace` and `suspended` jobs
    whose GPU-hours paid grants cover are still taken.
    """

    def __init__(self, contract_id: str, customer_id: str, state: str, owed: str, what: str) -> None:
        super().__init__(
            f"Contract {contract_id} is in arrears ({state}): {owed} is overdue, so {what}. Pay the invoices that GET "
            f"/v1/customers/{customer_id}/arrears lists, by bank transfer with their references; all goes on from then."
            f" 合同 {contract_id} 已欠费 {owed} 元（{STATES_ZH[state]}），请先结清逾期账单，结清后自动恢复。",
            contract_id=contract_id,
            state=state,
            owed=owed,
        )


# The states of arrears as Chinese readers know them.
STATES_ZH = {"current": "正常", "grace": "宽限期", "suspended": "已停服", "retention": "数据保留期", "closed": "已关闭"}


class CreditLimitExceeded(DomainError):
    """The contract's credit limit does not cover the job.

    What is owed in unpaid invoices and in usage that is not billed yet, with what live jobs hold, would be more than
    `credit_limit`. Pay an invoice, choose a smaller job, or have the limit raised.
    """


class MaxCostExceeded(DomainError):
    """What the job may cost does not pay for its next step.

    Raise `max_cost`, or choose a smaller job; a quote that is asked with `max_cost` says how much of the job it buys.
    """


class DeadlineUnreachable(DomainError):
    """The job cannot be expected to end by the date that it asks for.

    On none of the GPU types that it accepts have nine of ten such jobs ended by `finish_by`, their wait counted. Give
    it the date of `earliest` (null: none is known) or a later one, accept more types, or choose a smaller job.
    """

    def __init__(self, earliest: datetime | None) -> None:
        told = None if earliest is None else f"{earliest:%Y-%m-%dT%H:%M:%SZ}"
        when = f"by {told} at the earliest (nine of ten such jobs do)" if told else "at no date that is known now"
        cure = "give it that date or a later one, accept" if told else "leave finish_by out, accept"
        super().__init__(
            f"The job is expected to end {when}: {cure} more GPU types, or choose a smaller job.",
            errors=[FieldError("finish_by", f"must be {told} or later" if told else "cannot be promised now")],
            earliest=told,
        )


class QueueDraining(DomainError):
    """The queue takes no new jobs.

    It is being drained: what waits in it still starts. Submit the job to another queue that its contract may enter
    (`"queue": "standard"`), or later.
    """

    def __init__(self, queue: str) -> None:
        super().__init__(
            f"Queue {queue} is being drained: it takes no new jobs. Submit the job to another queue, or later.",
            errors=[FieldError("queue", f"{queue} takes no new jobs")],
            queue=queue,
        )


class TooLargeForLimit(DomainError):
    """The job has more GPUs than its queue or its contract may hold at one time.

    Waiting would not end that. Submit it with fewer GPUs or, where its queue is the limit, to another queue that its
    contract may enter; or ask operations to raise the limit.
    """

    def __init__(self, whose: str, gpus: int, most: int) -> None:
        super().__init__(
            f"{whose} may hold {most} GPUs at one time; the job needs {gpus}. Submit it with fewer.",
            errors=[FieldError("gpus", f"{whose} may hold {most} at one time")],
            most_gpus=most,
        )


class NotUndoable(DomainError):
    """The decision cannot be undone.

    The record has no values of before for it, or it is undone already. Change the object itself.
    """


class ChangedSince(DomainError):
    """What a decision set was changed since; it was not undone.

    `errors` names each field with its value now. Undo the later decision first, or set the field itself.
    """


class VersionMismatch(DomainError):
    """The object is not as you have seen it any more.

    `If-Match` named the version (`ETag`) that was looked at, and it was changed since; nothing was done. `errors` has
    what is there now of the fields that were sent. Get the object again, and send what you still want with its `ETag`.
    """


class StaleSimulation(DomainError):
    """Settings changed since the simulation, or its window ended too long ago; nothing was applied.

    `errors` names each setting with its value now. Simulate the proposal again, look at the result, and apply that.
    """


class ProtocolMismatch(DomainError):
    """Trainer and broker do not speak the same worker protocol.

    Install the release of the broker where the trainer runs; the job waits and is started again. Nothing is charged.
    """


class IdempotencyConflict(DomainError):
    """The Idempotency-Key was used for another request.

    A key is for one request and its retries. Send a new key with a new request.
    """


class EventConflict(DomainError):
    """The event's id was used for another event.

    Source and id name one event for ever: it may be sent again, but as it was. Send another event with an id of its
    own.
    """


class IllegalTransition(DomainError):
    """The object's state does not allow this.

    `status_before`, where the object has one, is the status that it is in. Look at it again before you decide.
    """


class StaleFenceToken(DomainError):
    """The run was superseded: it may neither report nor settle.

    The broker has given the job to another run. Stop; nothing that this run sends is taken any more.
    """


class ChecksumMismatch(DomainError):
    """The upload's checksum is not that of its bytes.

    The bytes were damaged on their way. Send them again.
    """


class ChunkMismatch(DomainError):
    """The chunk does not join on to those before it.

    `received_bytes` says from where to go on.
    """


class UploadBusy(DomainError):
    """Another request writes to this upload.

    Wait a moment, ask how much is there (`HEAD`), and go on from that.
    """


class UploadUnfinished(DomainError):
    """The upload is not whole yet.

    `received_bytes` says from where to go on; make the data set of it when all bytes are there.
    """


class PeriodStillOpen(DomainError):
    """The billing month has not ended.

    A month's invoice is final only after the month. Draft it meanwhile.
    """


class PeriodClosed(DomainError):
    """The month's books are closed, and are not opened again.

    What is wrong in it is put right by a credit note, or on a later month's invoice.
    """


class ClosingBlocked(DomainError):
    """Something stands in the way of closing the month.

    `errors` says what. See to it, or name it in `accept` where it may stay as it is.
    """


class AccountUnmapped(DomainError):
    """The chart of accounts lacks a code.

    `errors` names each account that is used and has none. Put it into the chart, and export again.
    """


class Busy(DomainError):
    """Others are ahead of this request; it was not done.

    Send it again after `Retry-After` seconds, with the same Idempotency-Key.
    """

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class VerificationNeeded(DomainError):
    """The customer is not verified (实名).

    The operator sells to verified customers alone. Submit the name by law and the number of the document;
    `verification` tells how far that is.
    """


class RateLimited(DomainError):
    """The API key has sent as many requests as it may in a minute; this one was not done.

    Send it again after `Retry-After` seconds. The headers `RateLimit-Policy` and `RateLimit` of every answer tell how
    many a key may send and how many are left; ask ops for a higher limit.
    """

    def __init__(self, detail: str, *, retry_after_seconds: int, limit: int) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds, limit=limit)


class TooManyAtOnce(DomainError):
    """Too many requests of one caller are under way; another one was not done.

    Send it again after `Retry-After` seconds, and fewer at once.
    """

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class TookTooLong(DomainError):
    """The request took longer than a request may; it was not done.

    Ask for less at once, or send it again when the broker has less to do.
    """


class StorageFull(DomainError):
    """The broker's disk has no room; nothing was kept.

    The operator makes room in the data directory; then send it again.
    """


class TokensBeingCounted(DomainError):
    """The tokens of the data set are still being counted.

    Large data is counted once for each tokenizer, beside everything else. `rows` and `counted_rows` say how far it is;
    ask again after `Retry-After` seconds, or follow `token_counts` of the data set.
    """


class FontMissing(DomainError):
    """The broker has no font for PDF documents.

    It comes where an invoice is asked for as PDF on a machine without Noto Sans CJK. Install the package
    `fonts-noto-cjk` there, or name its folder in BROKER_FONT_DIR; CSV and XLSX need no font.
    """
