"""What the two clients, one that waits and one that awaits, do alike: the core of an exchange, without any I/O.

A client sends a request and sleeps; whether it does so again, and what an answer means, is decided here.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2 as httpx

from broker.client.errors import NotReachable, make_api_error

# Waits before a further try, in seconds: for a line that broke, a restart, or a broker that has too much to do.
RETRY_PAUSES = (0.2, 0.8)
# The same of a stream, which outlasts a broker that restarts: a minute in all, counted anew with each event.
RESUME_PAUSES = (0.2, 0.8, 2.0, 5.0, 10.0, 10.0, 15.0, 15.0)
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
LONGEST_RETRY_AFTER_SECONDS = 10.0
# The type of the problem that a data set's tokens are not counted yet: no fault, and `BrokerClient` waits for it.
COUNTING = "tokens-being-counted"
NOTHING_MORE = 204


class Attempts:
    """Tells after each try of one request whether there is another one, and how long to wait for it."""

    def __init__(self, url: str, pauses: Sequence[float]) -> None:
        self.url, self.pauses = url, pauses
        self.left: Iterator[float] = iter(pauses)

    def renew(self) -> None:
        """Begin to count again: something has come."""
        self.left = iter(self.pauses)

    def judge(self, response: httpx.Response) -> float | None:
        """Return for how many seconds to wait for another try; None: this is the answer, or none is left."""
        if response.status_code not in RETRIED_STATUSES or COUNTING in response.text:
            return None
        pause = self._take_pause()
        return None if pause is None else max(pause, _read_retry_after(response))

    def outlast(self, error: httpx.TransportError) -> float:
        """Return for how many seconds to wait after a line that broke. Raises: NotReachable, where no try is left."""
        pause = self._take_pause()
        if pause is None:
            raise NotReachable(f"no answer from {self.url} ({error or type(error).__name__})") from error
        return pause

    def _take_pause(self) -> float | None:
        """Take the next pause, up to a half longer: those whom a restart has turned away do not all come at once."""
        pause = next(self.left, None)
        return None if pause is None else pause * random.uniform(1, 1.5)  # noqa: S311 (no secret)


class Listening:
    """Where a stream of server-sent events stands: what was heard last, and how often it may still be taken up."""

    def __init__(self, url: str, pauses: Sequence[float], last_event_id: str | None) -> None:
        self.attempts, self.last_event_id = Attempts(url, pauses), last_event_id

    @property
    def headers(self) -> dict[str, str]:
        """Ask for what comes behind the last event."""
        return {} if self.last_event_id is None else {"Last-Event-ID": self.last_event_id}

    def judge(self, response: httpx.Response) -> float | None:
        """Return for how many seconds to wait before it is asked for again; None: it is here. Raises: ApiError."""
        if response.is_success:
            return None
        pause = self.attempts.judge(response)
        if pause is None:
            require_success(response)
        return pause

    def hear(self, event: httpx.ServerSentEvent) -> None:
        """Note an event: behind it one goes on."""
        self.attempts.renew()
        self.last_event_id = event.id or self.last_event_id

    @staticmethod
    def end() -> float:
        """Return for how many seconds to wait after a stream that the broker has ended: it says if that was all."""
        return RESUME_PAUSES[0]


def require_success(response: httpx.Response) -> httpx.Response:
    """Return an answer that is no problem. Raises: ApiError."""
    if response.is_success:
        return response
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"title": response.reason_phrase, "status": response.status_code, "detail": response.text[:500]}
    raise make_api_error(response.status_code, problem, response.headers.get("X-Request-Id"))


def make_headers(api_key: str, language: str | None) -> dict[str, str]:
    """Make the headers of every request."""
    languages = {} if language is None else {"Accept-Language": language}
    return {"Authorization": f"Bearer {api_key}", **languages}


def leave_out_unknown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is None."""
    return {name: value for name, value in fields.items() if value is not None}


def _read_retry_after(response: httpx.Response) -> float:
    """Read for how many seconds the broker asks to wait; 0 where it does not say."""
    told = response.headers.get("Retry-After", "")
    return min(float(told), LONGEST_RETRY_AFTER_SECONDS) if told.isdigit() else 0.0
