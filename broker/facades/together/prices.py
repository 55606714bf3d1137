"""What a job would cost, as Together's clients ask for it: a quote."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

# What a quote is refused for, where it is the file that is wrong: the clients go on without a price.
UNAVAILABLE = {"dataset-unusable": "train_file_invalid", "tokens-being-counted": "train_file_not_validated"}


def write_estimate(quote: Mapping[str, Any], max_cost: str | None) -> dict[str, Any]:
    """Write a quote by the price of the contract that pays, in yuan; numbers, since the clients compare them.

    `allowed_to_proceed`: the job may cost so much by its key, and one contract can pay for it.
    """
    own = [price for price in quote["prices"] if price["contract_id"] is not None]
    price = (own or quote["prices"])[0]
    total = Decimal(price["total"]["amount"])
    limit = Decimal(max_cost or 0)
    return {
        "estimation_available": True,
        "allowed_to_proceed": len(own) == 1 and total <= limit,
        "estimated_total_price": float(total),
        "estimated_train_token_count": quote["estimate"]["tokens"],
        "estimated_eval_token_count": 0,
        "user_limit": float(limit),
        "currency": price["total"]["currency"],
        "quote_id": quote["id"],
        "expires_at": quote["expires_at"],
    }
