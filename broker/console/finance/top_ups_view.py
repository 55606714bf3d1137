"""What the pages of top-ups show and send. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.console.frame.forms import Submitted, read_whole
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.signing.top_ups import StandingTopUp

COLUMNS = (
    Column(N_("Customer")),
    Column(N_("Contract")),
    Column(N_("Left, h"), is_number=True),
    Column(N_("Orders below, h"), is_number=True),
    Column(N_("So many, h"), is_number=True),
    Column(N_("How it stands")),
)


@dataclass(frozen=True)
class TopUpsView:
    """A page of rules with names and numbers; `orders` are the invoices of orders that wait, by order."""

    rows: Sequence[StandingTopUp]
    customers: Mapping[str, str]
    numbers: Mapping[str, str]
    orders: Mapping[str, str]
    listing: Listing


def read_rule(form: Submitted) -> dict[str, Any]:
    """Read the rule that a form sends; what is no number is left to the API to refuse."""
    names = ("threshold_gpu_hours", "purchase_gpu_hours")
    return {name: read_whole(form.get(name)) if form.get(name) else None for name in names}
