"""The ledger as the other features use it.

Holds are placed for a job, captured as usage arrives, and settled when it ends; grants are credited, months closed.
"""

from broker.ledger.accounts import list_accounts, read_granted_hours
from broker.ledger.adjust import adjust_hold
from broker.ledger.balance import Balance, read_contract_balance
from broker.ledger.budget_changes import amend_budget
from broker.ledger.captures import Captured, capture_usage, charge_usage, count_captured
from broker.ledger.causes import Cause
from broker.ledger.charge_limit import Promise
from broker.ledger.closed_months import close_month
from broker.ledger.commitment import Commitment, list_ended_commitments, list_true_up_months, read_commitment
from broker.ledger.coverage import MeterCoverage, read_coverage
from broker.ledger.credit import credit_grant
from broker.ledger.credit_limits import has_use
from broker.ledger.earnings import MonthsInvoice, book_usage
from broker.ledger.expiry_warnings import list_grants_to_warn_of, warn_of_expiry
from broker.ledger.grant_balances import GrantBalance, GrantDraw, list_draws, read_grant_balances
from broker.ledger.grant_ends import expire_grant, list_grants_to_expire, read_unused, take_unused, void_grant
from broker.ledger.history import read_contract_balance_at
from broker.ledger.hold_batches import ContractBooks, HoldSnapshot, NewHold, read_holds, read_snapshot, write_holds
from broker.ledger.hold_legs import HoldView
from broker.ledger.holds import (
    expire_hold,
    get_hold,
    list_expired_holds,
    list_holds_due_for_renewal,
    lock_hold,
    lock_holds,
    renew_holds,
    renew_locked_hold,
    settle_hold,
)
from broker.ledger.legs import read_available
from broker.ledger.lost_work import Checkpoints, LostWork, Mark, find_kept
from broker.ledger.model import UsageInterval
from broker.ledger.money_books import (
    book_advance,
    book_advance_cancelled,
    book_bad_debt,
    book_breakage,
    book_carry,
    book_credit,
    book_credit_note,
    book_credit_used,
    book_goodwill,
    book_receipt,
    book_refund,
    read_credit,
    read_deferred,
)
from broker.ledger.reattribution import bear_lost_work
from broker.ledger.reserves import HoldNeed, Reserves
from broker.ledger.resizing import resize_grant
from broker.ledger.shortage import Shortage, find_shortage, is_exhausted
from broker.ledger.standing import open_standing_hold
from broker.ledger.usage import (
    BorneUsage,
    CapturedUsage,
    list_borne_usage,
    list_captured_usage,
    list_corrections,
    list_months,
    read_borne_by_cause,
)
from broker.ledger.usage_corrections import correct_usage
from broker.ledger.versions import split_by_version
from broker.ledger.volumes import Volume, list_volumes

__all__ = [
    "Balance",
    "BorneUsage",
    "Captured",
    "CapturedUsage",
    "Cause",
    "Checkpoints",
    "Commitment",
    "ContractBooks",
    "GrantBalance",
    "GrantDraw",
    "HoldNeed",
    "HoldSnapshot",
    "HoldView",
    "LostWork",
    "Mark",
    "MeterCoverage",
    "MonthsInvoice",
    "NewHold",
    "Promise",
    "Reserves",
    "Shortage",
    "UsageInterval",
    "Volume",
    "adjust_hold",
    "amend_budget",
    "bear_lost_work",
    "book_advance",
    "book_advance_cancelled",
    "book_bad_debt",
    "book_breakage",
    "book_carry",
    "book_credit",
    "book_credit_note",
    "book_credit_used",
    "book_goodwill",
    "book_receipt",
    "book_refund",
    "book_usage",
    "capture_usage",
    "charge_usage",
    "close_month",
    "correct_usage",
    "count_captured",
    "credit_grant",
    "expire_grant",
    "expire_hold",
    "find_kept",
    "find_shortage",
    "get_hold",
    "has_use",
    "is_exhausted",
    "list_accounts",
    "list_borne_usage",
    "list_captured_usage",
    "list_corrections",
    "list_draws",
    "list_ended_commitments",
    "list_expired_holds",
    "list_grants_to_expire",
    "list_grants_to_warn_of",
    "list_holds_due_for_renewal",
    "list_months",
    "list_true_up_months",
    "list_volumes",
    "lock_hold",
    "lock_holds",
    "open_standing_hold",
    "read_available",
    "read_borne_by_cause",
    "read_commitment",
    "read_contract_balance",
    "read_contract_balance_at",
    "read_coverage",
    "read_credit",
    "read_deferred",
    "read_grant_balances",
    "read_granted_hours",
    "read_holds",
    "read_snapshot",
    "read_unused",
    "renew_holds",
    "renew_locked_hold",
    "resize_grant",
    "settle_hold",
    "split_by_version",
    "take_unused",
    "void_grant",
    "warn_of_expiry",
    "write_holds",
]
