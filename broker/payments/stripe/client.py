"""The official client of Stripe, asked from a thread of its own; and what its errors mean.

It retries nothing by itself: a step is a row of ours, which knows its key. Nothing is told to Stripe about how long its
answers took, as the client would do by default.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import stripe

from broker.config import Settings
from broker.errors import OperatorError
from broker.payments.stripe.model import AnswerKind

ANSWER_SECONDS = 20.0
# How long a step belongs to the process that has taken it: it asks Stripe three times at most.
LEASE_SECONDS = 4 * ANSWER_SECONDS

stripe.enable_telemetry = False

Answer = TypeVar("Answer")


class WrongAccount(OperatorError):
    """The key is of another account than the one that is set, so nothing is sent."""


class StripeAway(OperatorError):
    """Stripe does not answer, or not to our key; it is asked again."""


@dataclass(frozen=True)
class StripeAccess:
    """A client with our key. `is_live`: the key moves real money."""

    client: stripe.StripeClient
    http: stripe.HTTPClient
    account_id: str
    is_live: bool
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "stripe"))

    async def ask(self, question: Callable[[stripe.StripeClient], Answer]) -> Answer:
        """Ask Stripe, without holding up the event loop. Raises: stripe.StripeError."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, question, self.client)

    def close(self) -> None:
        """Close the connections, which belong to the thread."""
        self.thread.submit(self.http.close).result()
        self.thread.shutdown()

    async def check_account(self) -> None:
        """Check that the key is of the account that is set. Raises: WrongAccount, StripeAway."""
        try:
            found = await self.ask(lambda client: client.v1.accounts.retrieve_current())
        except stripe.StripeError as error:
            raise StripeAway(f"Stripe cannot be asked with BROKER_STRIPE_API_KEY: {describe_error(error)}") from error
        if found.id != self.account_id:
            raise WrongAccount(
                f"BROKER_STRIPE_API_KEY is of account {found.id}, but BROKER_STRIPE_ACCOUNT_ID says {self.account_id}:"
                " set both of one account; nothing is sent to Stripe until then"
            )


def open_access(settings: Settings) -> StripeAccess | None:
    """Open the client; None where Stripe is off, as it is by default."""
    if settings.stripe_api_key is None or settings.stripe_account_id is None:
        return None
    key = settings.stripe_api_key.get_secret_value()
    http = stripe.RequestsClient(timeout=ANSWER_SECONDS)
    client = stripe.StripeClient(
        key, base_addresses={"api": settings.stripe_api_base}, max_network_retries=0, http_client=http
    )
    return StripeAccess(client, http, settings.stripe_account_id, is_live="_live_" in key)


def classify_error(error: stripe.StripeError) -> AnswerKind:
    """Tell what an error means for the step that was sent."""
    status = error.http_status
    if status is None:
        return AnswerKind.SILENT
    if status >= 500:
        return AnswerKind.BROKEN
    if status in {409, 429}:
        return AnswerKind.BUSY
    return AnswerKind.LOCKED_OUT if status in {401, 403} else AnswerKind.REFUSED


def describe_error(error: stripe.StripeError) -> str:
    """Describe an error in one line, by which finance finds the request at Stripe; the key is in none of it."""
    parameter = getattr(error, "param", None)
    words = [type(error).__name__, error.code or "", f"({parameter})" if parameter else "", str(error)]
    return " ".join(word for word in words if word)[:1000]
