"""Every table of the service, imported in one place for the migrations and for the check that they agree."""

from broker.adapters import tables as adapters
from broker.billing import tables as billing
from broker.contracts import tables as contracts
from broker.database import Base
from broker.datasets import tables as datasets
from broker.estimator import tables as estimator
from broker.identity import tables as identity
from broker.jobs import tables as jobs
from broker.ledger import tables as ledger
from broker.metering import tables as metering
from broker.outbox import OutboxMessage
from broker.quotes import tables as quotes
from broker.scheduling import tables as scheduling

__all__ = [
    "OutboxMessage",
    "adapters",
    "billing",
    "contracts",
    "datasets",
    "estimator",
    "identity",
    "jobs",
    "ledger",
    "metering",
    "quotes",
    "scheduling",
]

METADATA = Base.metadata
