"""The ledger as the other features use it.

Holds are placed for a job, captured as usage arrives, and settled when it ends; grants are credited, months closed.
"""

from broker.ledger.adjust import refit_hold
from broker.ledger.balance import Balance, read_contract_balance
from broker.ledger.captures import Interval, capture_usage, is_exhausted
from broker.ledger.closed_months import close_month
from broker.ledger.credit import credit_grant
from broker.ledger.holds import (
    HoldView,
    expire_hold,
    get_hold,
    list_expired_holds,
    list_holds_due_for_renewal,
    place_hold,
    renew_hold,
    settle_hold,
)
from broker.ledger.model import Payer
from broker.ledger.usage import CaptureSum, list_months, sum_captures

__all__ = [
    "Balance",
    "CaptureSum",
    "HoldView",
    "Interval",
    "Payer",
    "capture_usage",
    "close_month",
    "credit_grant",
    "expire_hold",
    "get_hold",
    "is_exhausted",
    "list_expired_holds",
    "list_holds_due_for_renewal",
    "list_months",
    "place_hold",
    "read_contract_balance",
    "refit_hold",
    "renew_hold",
    "settle_hold",
    "sum_captures",
]
