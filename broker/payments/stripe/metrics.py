"""What waits at Stripe, for Prometheus, as of the last reading of the database."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from broker.payments.stripe.model import StepState
from broker.payments.stripe.tables import StripeDifference, StripeInvoice, StripeStep
from broker.system import System

WAITING = StripeStep.state == StepState.WAITING.value
# Each of these reads an index of what is under way alone: what is done is never counted.
COUNTS = select(
    select(func.count()).where(WAITING, StripeStep.failures == 0).scalar_subquery(),
    select(func.count()).where(WAITING, StripeStep.failures > 0).scalar_subquery(),
    select(func.count())
    .where(~StripeInvoice.settled, StripeInvoice.problem.is_not(None))
    .select_from(StripeInvoice)
    .scalar_subquery(),
    select(func.count()).select_from(StripeDifference).scalar_subquery(),
)


@dataclass
class StripeReading:
    """How much waits to be asked of Stripe, or was and failed; how many invoices stand still; how many differ."""

    waiting: int = 0
    failing: int = 0
    stopped: int = 0
    differences: int = 0

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            row = (await work.session.execute(COUNTS)).one()
        self.waiting, self.failing, self.stopped, self.differences = row


class StripeCollector(Collector):
    """Collects the last reading."""

    def __init__(self, reading: StripeReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        told = "Steps that wait to be asked of Stripe: new ones, and those that have failed before."
        steps = GaugeMetricFamily("broker_stripe_steps", told, labels=["state"])
        steps.add_metric(["waiting"], self.reading.waiting)
        steps.add_metric(["failing"], self.reading.failing)
        yield steps
        yield GaugeMetricFamily(
            "broker_stripe_invoices_stopped",
            "Invoices that stand still at Stripe until somebody retries them.",
            self.reading.stopped,
        )
        yield GaugeMetricFamily(
            "broker_stripe_differences",
            "Differences between our books and Stripe, as the last reconciliation found them.",
            self.reading.differences,
        )
