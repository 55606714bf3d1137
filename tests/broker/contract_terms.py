"""A contract's terms without a database: an on-demand contract on the first card, and what a test wants different."""

from datetime import UTC, datetime
from typing import Any

from broker.contracts.terms.model import ContractTerms, Overage, QuoteGuarantee
from pricing.plans import PlanName
from pricing.rate_card import load_rate_cards


def make_terms(**fields: Any) -> ContractTerms:
    """Make the terms of an on-demand contract; any of them may be told."""
    terms = {
        "id": "con_1",
        "customer_id": "cus_1",
        "plan": PlanName.ON_DEMAND,
        "committed_gpu_hours": 0,
        "overage": Overage.CONTRACT,
        "quote_guarantee": QuoteGuarantee.PAUSE,
        "monthly_budget_micros": None,
        "time_zone": "Asia/Shanghai",
        "billing_day": 1,
        "starts_at": datetime(2026, 11, 1, tzinfo=UTC),
        "ends_at": None,
        "cards": (load_rate_cards()["2026-01-01"],),
    }
    return ContractTerms(**(terms | fields))
