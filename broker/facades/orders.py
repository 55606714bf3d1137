"""What every facade reads of an order the same way. Pure: what is refused is named as its client sent it."""

from collections.abc import Mapping
from typing import Any

from broker.facades.asking import Refused

# Fields of `POST /v1/jobs`; every other name is a key of the training configuration.
ORDER_FIELDS = frozenset(
    {"quote_id", "max_cost", "queue", "gpu_types", "prefer", "finish_by", "project_id", "contract_id", "gpus", "name"}
)
SHORT_NAMES = {"rank": "lora_rank", "alpha": "lora_alpha", "dropout": "lora_dropout"}
HUGE = 1e100  # a whole number beyond it may not be written as a float


def refuse(param: str, message: str, code: str = "invalid_request") -> Refused:
    """Make the refusal of a field, which is named as the client sent it."""
    told = {"detail": f"{param}: {message}", "type": f"/problems/{code.replace('_', '-')}", "param": param}
    return Refused(422, told)


def bound_cost(order: dict[str, Any], default_max_cost: str | None, param: str) -> None:
    """Bound what a job may cost by what its key allows, in yuan, where the order itself says nothing. Raises: Refused.

    `param`: where this client can say it; the clients know no quotes, so without a bound nothing is ordered.
    """
    if order.get("quote_id") is not None or order.get("max_cost") is not None:
        return
    if default_max_cost is None:
        raise refuse(param, "is needed: send it, or set max_cost of the API key", "max_cost_missing")
    order["max_cost"] = default_max_cost


def read_object(body: Mapping[str, Any], name: str, within: str = "") -> Mapping[str, Any]:
    """Read an object, which is empty where nothing was sent. Raises: Refused."""
    found = body.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise refuse(within + name, "must be an object")
    return found


def read_text(body: Mapping[str, Any], name: str) -> str:
    """Read a text that is needed. Raises: Refused."""
    found = body.get(name)
    if not isinstance(found, str) or not found:
        raise refuse(name, "is needed" if found is None else "must be a text")
    return found


def is_number(value: object) -> bool:
    """Tell whether a value is a number that a float can be."""
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) < HUGE
