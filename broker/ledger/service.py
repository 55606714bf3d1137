"""The ledger as the other features use it.

Holds are placed for a job, captured as usage arrives, and settled when it ends; grants are credited, months closed.
"""

from broker.ledger.books.accounts import list_accounts, read_granted_hours
from broker.ledger.books.causes import Cause
from broker.ledger.books.closed_months import close_months, close_past_periods, list_all_closed, list_closed_of
from broker.ledger.books.fapiao_books import FapiaoStep, book_fapiao, read_fapiao_drawn
from broker.ledger.books.model import AccountKind, UsageInterval
from broker.ledger.books.money_below_zero import BelowZero, list_below_zero
from broker.ledger.books.money_books import (
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
    book_receipts,
    book_refund,
    list_with_credit,
    read_credit,
    read_credits,
    read_deferred,
    read_owed_back,
    read_unmatched,
)
from broker.ledger.books.money_transfers import SidesTransfer, post_sides
from broker.ledger.books.periods import (
    close_period,
    find_closed_period,
    find_last_day,
    list_months_to_close,
    read_closed_through,
    require_over,
    take_period_turn,
)
from broker.ledger.books.receipt_books import (
    book_charged_back,
    book_credit_to_due,
    book_kept_freed,
    book_paid_to_credit,
    book_receipt_freed,
    book_refund_came_back,
    book_refund_credited,
    book_refund_dropped,
    book_refund_requested,
    book_refund_sent,
    book_return_found,
    keep_receipt,
    match_receipt,
)
from broker.ledger.capturing.captures import Captured, capture_usage, charge_usage, count_captured
from broker.ledger.capturing.shortage import (
    Shortage,
    find_shortage,
    find_shortage_ahead,
    is_beyond_paid,
    is_exhausted,
)
from broker.ledger.correcting.compensation_sweep import (
    compensate_hold,
    list_holds_to_compensate,
    list_stranded_compensations,
)
from broker.ledger.correcting.lost_work import Checkpoints, LostWork, Mark, find_kept
from broker.ledger.correcting.reattribution import bear_lost_work, read_lost
from broker.ledger.correcting.usage_corrections import charge_more, correct_usage
from broker.ledger.grants.commitment import (
    Commitment,
    TrueUp,
    find_true_ups,
    list_true_up_months,
    read_commitment,
    read_commitments,
)
from broker.ledger.grants.coverage import MeterCoverage, read_coverage
from broker.ledger.grants.credit import credit_grant
from broker.ledger.grants.earnings import BookedInvoice, MonthsInvoice, book_usage, find_surplus, read_unearned
from broker.ledger.grants.expiry_warnings import list_grants_to_warn_of, warn_of_expiry
from broker.ledger.grants.grant_balances import GrantBalance, GrantDraw, list_draws, read_grant_balances
from broker.ledger.grants.grant_ends import expire_grant, list_grants_to_expire, read_unused, take_unused, void_grant
from broker.ledger.grants.refunds import read_refunded
from broker.ledger.grants.resizing import resize_grant
from broker.ledger.grants.worth import Worth, price_leaving
from broker.ledger.holding.adjust import adjust_hold
from broker.ledger.holding.charge_reading import LockedHolds, lock_charged_holds, read_charged_holds
from broker.ledger.holding.further_usage import price_further_usage, read_usage_prices
from broker.ledger.holding.hold_batches import (
    ContractBooks,
    HoldSnapshot,
    NewHold,
    read_holds,
    read_snapshot,
    require_versions,
    write_holds,
)
from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.holding.holds import (
    expire_hold,
    extend_holds,
    get_hold,
    list_expired_holds,
    list_holds_due_for_renewal,
    lock_hold,
    lock_hold_rows,
    lock_holds,
    renew_all_holds,
    renew_holds,
    renew_locked_hold,
    settle_hold,
    settle_with_charges,
)
from broker.ledger.holding.legs import NewLeg, read_available
from broker.ledger.holding.paid_grants import make_refusal as refuse_in_arrears
from broker.ledger.holding.reserves import UNPAID, HoldNeed, Reserves
from broker.ledger.holding.standing import open_standing_hold
from broker.ledger.holding.wide_holds import plan_wide_hold
from broker.ledger.limits.budget_changes import (
    amend_budget,
    find_nearly_spent,
    read_nearly_spent,
)
from broker.ledger.limits.credit_limits import has_use
from broker.ledger.rating.charge_limit import Promise
from broker.ledger.rating.line_parts import LinePart, list_line_parts
from broker.ledger.rating.month_charges import MonthCharge, list_leading_lines, list_month_charges
from broker.ledger.rating.rate_corrections import LinePlace, Return, list_returns, note_credits, read_taken_back
from broker.ledger.rating.usage import (
    BorneUsage,
    CapturedUsage,
    list_borne_usage,
    list_captured_usage,
    list_corrections,
    list_months,
    read_borne_by_cause,
)
from broker.ledger.rating.versions import split_by_version
from broker.ledger.rating.volumes import Volume, list_volumes
from broker.ledger.reading.balance import Balance, read_contract_balance
from broker.ledger.reading.history import read_contract_balance_at

__all__ = [
    "UNPAID",
    "AccountKind",
    "Balance",
    "BelowZero",
    "BookedInvoice",
    "BorneUsage",
    "Captured",
    "CapturedUsage",
    "Cause",
    "Checkpoints",
    "Commitment",
    "ContractBooks",
    "FapiaoStep",
    "GrantBalance",
    "GrantDraw",
    "HoldNeed",
    "HoldSnapshot",
    "HoldView",
    "LinePart",
    "LinePlace",
    "LockedHolds",
    "LostWork",
    "Mark",
    "MeterCoverage",
    "MonthCharge",
    "MonthsInvoice",
    "NewHold",
    "NewLeg",
    "Promise",
    "Reserves",
    "Return",
    "Shortage",
    "SidesTransfer",
    "TrueUp",
    "UsageInterval",
    "Volume",
    "Worth",
    "adjust_hold",
    "amend_budget",
    "bear_lost_work",
    "book_advance",
    "book_advance_cancelled",
    "book_bad_debt",
    "book_breakage",
    "book_carry",
    "book_charged_back",
    "book_credit",
    "book_credit_note",
    "book_credit_to_due",
    "book_credit_used",
    "book_fapiao",
    "book_goodwill",
    "book_kept_freed",
    "book_paid_to_credit",
    "book_receipt",
    "book_receipt_freed",
    "book_receipts",
    "book_refund",
    "book_refund_came_back",
    "book_refund_credited",
    "book_refund_dropped",
    "book_refund_requested",
    "book_refund_sent",
    "book_return_found",
    "book_usage",
    "capture_usage",
    "charge_more",
    "charge_usage",
    "close_months",
    "close_past_periods",
    "close_period",
    "compensate_hold",
    "correct_usage",
    "count_captured",
    "credit_grant",
    "expire_grant",
    "expire_hold",
    "extend_holds",
    "find_closed_period",
    "find_kept",
    "find_last_day",
    "find_nearly_spent",
    "find_shortage",
    "find_shortage_ahead",
    "find_surplus",
    "find_true_ups",
    "get_hold",
    "has_use",
    "is_beyond_paid",
    "is_exhausted",
    "keep_receipt",
    "list_accounts",
    "list_all_closed",
    "list_below_zero",
    "list_borne_usage",
    "list_captured_usage",
    "list_closed_of",
    "list_corrections",
    "list_draws",
    "list_expired_holds",
    "list_grants_to_expire",
    "list_grants_to_warn_of",
    "list_holds_due_for_renewal",
    "list_holds_to_compensate",
    "list_leading_lines",
    "list_line_parts",
    "list_month_charges",
    "list_months",
    "list_months_to_close",
    "list_returns",
    "list_stranded_compensations",
    "list_true_up_months",
    "list_volumes",
    "list_with_credit",
    "lock_charged_holds",
    "lock_hold",
    "lock_hold_rows",
    "lock_holds",
    "match_receipt",
    "note_credits",
    "open_standing_hold",
    "plan_wide_hold",
    "post_sides",
    "price_further_usage",
    "price_leaving",
    "read_available",
    "read_borne_by_cause",
    "read_charged_holds",
    "read_closed_through",
    "read_commitment",
    "read_commitments",
    "read_contract_balance",
    "read_contract_balance_at",
    "read_coverage",
    "read_credit",
    "read_credits",
    "read_deferred",
    "read_fapiao_drawn",
    "read_grant_balances",
    "read_granted_hours",
    "read_holds",
    "read_lost",
    "read_nearly_spent",
    "read_owed_back",
    "read_refunded",
    "read_snapshot",
    "read_taken_back",
    "read_unearned",
    "read_unmatched",
    "read_unused",
    "read_usage_prices",
    "refuse_in_arrears",
    "renew_all_holds",
    "renew_holds",
    "renew_locked_hold",
    "require_over",
    "require_versions",
    "resize_grant",
    "settle_hold",
    "settle_with_charges",
    "split_by_version",
    "take_period_turn",
    "take_unused",
    "void_grant",
    "warn_of_expiry",
    "write_holds",
]
