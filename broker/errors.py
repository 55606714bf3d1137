"""Every error of the domain. Docstrings are the titles that clients read; `problems.py` gives each its HTTP status."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the request, and the cure."""

    field: str
    message: str


class OperatorError(Exception):
    """A setting, or the machine, is not as it must be; the message is one line with the cure. No request causes it."""


class DomainError(Exception):
    """The request cannot be done."""

    def __init__(self, detail: str, *, errors: list[FieldError] | None = None, **fields: Any) -> None:
        self.detail = detail
        self.errors = errors or []
        self.fields = fields
        super().__init__(detail)


class NotFound(DomainError):
    """There is no such object."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"There is no {kind} {object_id}.", kind=kind, id=object_id)


class Unauthenticated(DomainError):
    """A valid API key is needed."""


class Forbidden(DomainError):
    """The API key's role does not allow this."""


class InvalidRequest(DomainError):
    """The request does not validate."""


def invalid_field(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {message}", errors=[FieldError(field, message)])


class NameTaken(DomainError):
    """The name is already in use."""


class InvalidTrainingConfig(DomainError):
    """The training configuration does not validate."""


class DatasetUnusable(DomainError):
    """The data set has no usable row."""


class UploadTooLarge(DomainError):
    """The upload is larger than this broker takes."""


class CommitmentRefused(DomainError):
    """The commitment does not fit the plan."""


class NoContractInForce(DomainError):
    """No contract covers this job."""


class QuoteExpired(DomainError):
    """The quote has expired."""


class QuoteMismatch(DomainError):
    """The quote is for another configuration or data set."""


class QuoteStale(DomainError):
    """The quote's prices are not those of the contract."""


class InsufficientBalance(DomainError):
    """The balance does not cover the job."""


class BudgetExceeded(DomainError):
    """The month's budget does not cover the job."""


class MaxCostExceeded(DomainError):
    """The job is expected to cost more than its cap."""


class IdempotencyConflict(DomainError):
    """The Idempotency-Key was used for another request."""


class IllegalTransition(DomainError):
    """The object's state does not allow this."""


class StaleFenceToken(DomainError):
    """The run was superseded: it may neither report nor settle."""


class ChecksumMismatch(DomainError):
    """The upload's checksum is not that of its bytes."""


class ChunkMismatch(DomainError):
    """The chunk does not join on to those before it."""


class PeriodStillOpen(DomainError):
    """The billing month has not ended."""


class Busy(DomainError):
    """Others are ahead of this request; it was not done."""

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class TooManyAtOnce(DomainError):
    """Too many requests of one caller are under way; another one was not done."""

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class TookTooLong(DomainError):
    """The request took longer than a request may; it was not done."""


class StorageFull(DomainError):
    """The broker's disk has no room; nothing was kept."""
