"""Nothing is sold on credit to who is in arrears. Pure."""

from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger


def require_no_arrears(terms: ContractTerms) -> None:
    """Refuse to sell a contract in arrears more, which an invoice would ask for. Raises: InArrears."""
    if not terms.allowed.buy:
        raise ledger.refuse_in_arrears(terms, "nothing more is sold on credit")
