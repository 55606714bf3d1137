"""What the client raises: the broker refused, or was not reached. The standard library only."""

from collections.abc import Mapping
from typing import Any

LOCKED, TOO_MANY = 423, 429


class ClientError(Exception):
    """The broker's answer cannot be used."""


class DamagedDownload(ClientError):
    """The bytes that came are not those that the broker has."""


class NotReachable(ClientError):
    """No answer came: nothing listens there, the line broke, or it took too long."""


class ApiError(ClientError):
    """The broker answered with a problem; `problem` is its RFC 9457 body.

    `request_id` is what the broker's log calls the request, where it told one: name it to whoever runs the broker.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], request_id: str | None = None) -> None:
        self.status, self.problem, self.request_id = status, problem, request_id
        super().__init__(f"{self.title} ({status}) {self.detail}")

    @property
    def title(self) -> str:
        return str(self.problem.get("title", "Error"))

    @property
    def detail(self) -> str:
        return str(self.problem.get("detail", ""))

    @property
    def kind(self) -> str:
        """Name the type of problem, such as `insufficient-balance`."""
        return str(self.problem.get("type", "")).rpartition("/")[2]

    @property
    def field_errors(self) -> dict[str, str]:
        """Tell field by field what is wrong with it, and the cure."""
        return {str(item.get("field", "")): str(item.get("message", "")) for item in self.problem.get("errors") or []}

    @property
    def is_passing(self) -> bool:
        """Tell whether the same request may work later: the broker has too much to do, or a fault of its own."""
        return is_passing(self.status)


def is_passing(status: int) -> bool:
    """Tell whether a request that was answered so may work later: others are at it, or the broker has a fault."""
    return status in {LOCKED, TOO_MANY} or status >= 500


class NotSignedIn(ApiError):
    """The key is unknown, has expired or was revoked (401)."""


class PaymentNeeded(ApiError):
    """A balance, a budget, a limit or arrears stand against it (402)."""


class NotAllowed(ApiError):
    """The key's role or scopes do not allow it (403)."""


class NotThere(ApiError):
    """There is no such object for this key (404)."""


class StateConflict(ApiError):
    """The object is in a state that does not allow it, or an Idempotency-Key was used for something else (409)."""


class ChangedMeanwhile(ApiError):
    """Somebody has changed the object since it was read (412)."""


class RequestInvalid(ApiError):
    """The request does not validate: `field_errors` names each field, what is wrong with it, and the cure (422)."""


class TooManyRequests(ApiError):
    """The key has asked more often than it may (429)."""


class BrokerFault(ApiError):
    """The broker could not answer; the same request may work later (5xx)."""


KIND_OF: dict[int, type[ApiError]] = {
    401: NotSignedIn,
    402: PaymentNeeded,
    403: NotAllowed,
    404: NotThere,
    409: StateConflict,
    412: ChangedMeanwhile,
    422: RequestInvalid,
    429: TooManyRequests,
}


def make_api_error(status: int, problem: Mapping[str, Any], request_id: str | None = None) -> ApiError:
    """Make the error of an answer, of the class that its status has."""
    kind = BrokerFault if status >= 500 else KIND_OF.get(status, ApiError)
    return kind(status, problem, request_id)
