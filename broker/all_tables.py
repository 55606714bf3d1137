"""Every table of the service, imported in one place for the migrations and for the check that they agree."""

from broker.adapters import tables as adapters
from broker.approvals import tables as approvals
from broker.arrears import tables as arrears
from broker.audit import tables as audit
from broker.base_models import tables as base_models
from broker.billing import tables as billing
from broker.billing.closing import tables as closing
from broker.billing.vouchers import tables as vouchers
from broker.calibrations import tables as calibrations
from broker.capacity import tables as capacity
from broker.contracts import tables as contracts
from broker.customer_secrets import tables as customer_secrets
from broker.datasets import tables as datasets
from broker.environments import tables as environments
from broker.exits import tables as exits
from broker.fapiao import tables as fapiao
from broker.http.idempotency import IdempotencyKey
from broker.http.repeats import SentOrder
from broker.http.request_counts import RequestCount
from broker.identity import tables as identity
from broker.jobs import tables as jobs
from broker.ledger import tables as ledger
from broker.metering import tables as metering
from broker.notices import tables as notices
from broker.payments import tables as payments
from broker.payments.stripe import tables as stripe
from broker.payments.webhooks import tables as received_events
from broker.persistence.database import Base
from broker.persistence.installation import Installation
from broker.persistence.marks import ServiceMark
from broker.persistence.outbox import OutboxMessage
from broker.quotes import tables as quotes
from broker.retention import tables as retention
from broker.scheduling import tables as scheduling
from broker.signing import tables as signing
from broker.templates import tables as templates
from broker.webhooks import tables as webhooks

__all__ = [
    "IdempotencyKey",
    "Installation",
    "OutboxMessage",
    "RequestCount",
    "SentOrder",
    "ServiceMark",
    "adapters",
    "approvals",
    "arrears",
    "audit",
    "base_models",
    "billing",
    "calibrations",
    "capacity",
    "closing",
    "contracts",
    "customer_secrets",
    "datasets",
    "environments",
    "exits",
    "fapiao",
    "identity",
    "jobs",
    "ledger",
    "metering",
    "notices",
    "payments",
    "quotes",
    "received_events",
    "retention",
    "scheduling",
    "signing",
    "stripe",
    "templates",
    "vouchers",
    "webhooks",
]

METADATA = Base.metadata
