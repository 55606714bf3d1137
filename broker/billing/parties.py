"""Who issues an invoice and who gets it, as they are on the day on which it is final."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from broker.config import Settings


@dataclass(frozen=True)
class Issuer:
    """Who issues invoices: name, tax number (税号), address, telephone, and where to pay to. Empty: not told."""

    name: str
    tax_number: str = ""
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Issuer":
        return cls(**{each.name: getattr(settings, f"issuer_{each.name}") for each in fields(cls)})

    @classmethod
    def read(cls, kept: dict[str, Any]) -> "Issuer":
        return cls(**kept)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Buyer:
    """Whom an invoice is for."""

    name: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
