"""What the pages of fapiao show. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.fapiao.listing import FapiaoInDetail, FapiaoPage
from broker.fapiao.model import FapiaoKind, FapiaoStatus, RedReason

STATES = {
    FapiaoStatus.REQUESTED: N_("To be issued"),
    FapiaoStatus.ISSUED: N_("Issued"),
    FapiaoStatus.CANCELLED: N_("Cancelled"),
}
KINDS = {FapiaoKind.NORMAL: N_("normal (普票)"), FapiaoKind.SPECIAL: N_("special (专票)")}
RED_REASONS = {
    RedReason.WRONG: N_("01 wrongly issued"),
    RedReason.RETURNED: N_("02 goods returned"),
    RedReason.SERVICE_ENDED: N_("03 service ended"),
    RedReason.DISCOUNT: N_("04 discount"),
}
TITLE_PARTS = {
    "name": N_("Name (名称)"),
    "tax_number": N_("Tax number (税号)"),
    "address": N_("Address (地址)"),
    "phone": N_("Telephone (电话)"),
    "bank": N_("Bank (开户行)"),
    "bank_account": N_("Account (账号)"),
}
COLUMNS = (
    Column(N_("Number")),
    Column(N_("Customer")),
    Column(N_("Made out to")),
    Column(N_("Kind")),
    Column(N_("State")),
    Column(N_("Day")),
    Column(N_("Amount"), is_number=True),
    Column(N_("Tax in it"), is_number=True),
)
LINE_COLUMNS = (
    Column(N_("Item (项目名称)")),
    Column(N_("Tax code (税收分类编码)")),
    Column(N_("Unit (单位)")),
    Column(N_("Quantity"), is_number=True),
    Column(N_("Unit price"), is_number=True),
    Column(N_("Net"), is_number=True),
    Column(N_("Tax rate"), is_number=True),
    Column(N_("Tax"), is_number=True),
)


@dataclass(frozen=True)
class FapiaoList:
    """A page of fapiao with the names of their customers."""

    found: FapiaoPage
    customers: Mapping[str, str]
    listing: Listing


@dataclass(frozen=True)
class FapiaoView:
    """A fapiao, and what can be done with it."""

    found: FapiaoInDetail
    customer: str

    @property
    def is_red(self) -> bool:
        return self.found.row.red_of_id is not None

    @property
    def may(self) -> frozenset[str]:
        """Tell what can be done: issue or cancel a request, take back of an issued one, add files to it."""
        row = self.found.row
        if row.status == FapiaoStatus.REQUESTED:
            return frozenset({"issue", "cancel"})
        if row.status != FapiaoStatus.ISSUED:
            return frozenset()
        return frozenset({"files", "red"}) if self.found.left.micros and not self.is_red else frozenset({"files"})

    @property
    def title(self) -> list[tuple[str, Any]]:
        """List to whom it is made out, part by part, without those that are empty."""
        return [
            (name, self.found.row.title[part]) for part, name in TITLE_PARTS.items() if self.found.row.title.get(part)
        ]
