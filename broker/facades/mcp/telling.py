"""How the tools tell objects of the REST API: short, since an assistant reads every word of it."""

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError

OF_A_JOB = ("id", "status", "name", "queue", "attempts", "adapter_id", "created_at", "started_at", "finished_at")


def tell_dataset(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Tell a data set, and what became of its rows."""
    told = {name: dataset[name] for name in ("id", "name", "kind", "usable_rows", "created_at")}
    return told | {"rows": dataset["row_counts"]["line"]}


def tell_quote(quote: Mapping[str, Any], contract_id: str | None) -> dict[str, Any]:
    """Tell a quote by the price of the contract that pays, in yuan; `price_p90` is what nine of ten jobs stay below.

    Raises: ToolError, where the customer has no such contract in force, or several and none is named.
    """
    own = [price for price in quote["prices"] if price["contract_id"] is not None]
    found = [price for price in own if contract_id in (None, price["contract_id"])]
    if not own:
        raise ToolError("contract_id: no contract is in force that could pay; ask the house for one")
    if len(found) != 1:
        named = ", ".join(f"{price['contract_id']} ({price['plan']})" for price in own)
        raise ToolError(f"contract_id: name the contract that pays, one of {named}")
    price, estimate = found[0], quote["estimate"]
    needs = ("base_model", "rows", "steps", "tokens", "gpus", "sku", "gpu_hours", "vram_gib", "uncertain")
    told = {name: estimate[name] for name in needs}
    types = [_tell_type(each) for each in quote["gpu_types"]]
    return {
        "quote_id": quote["id"],
        "dataset_id": quote["dataset_id"],
        "contract_id": price["contract_id"],
        "plan": price["plan"],
        "currency": price["total"]["currency"],
        "price": price["total"]["amount"],
        "price_p90": price["total_p90"]["amount"],
        "expires_at": quote["expires_at"],
        "findings": quote["findings"],
        **told,
        "gpu_types": types,
    }


def _tell_type(quoted: Mapping[str, Any]) -> dict[str, Any]:
    start = quoted["expected_start"] or {}
    return {"sku": quoted["sku"], "fit": quoted["fit"], "reason": quoted["reason"], "expected_start": start.get("p50")}


def tell_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Tell a job: how far it is, what it has cost, why it waits or what went wrong. Money is in yuan."""
    reason = job["pending_reason"] or {}
    told = {name: job[name] for name in OF_A_JOB}
    limit = job["limit"] or {}
    return told | {
        "base_model": job["config"].get("base_model"),
        "progress": job["progress"],
        "cost": job["cost"]["amount"],
        "limit": limit.get("amount"),
        "borne_by_the_house": job["borne"]["amount"],
        "waits_for": reason.get("message"),
        "pause_reason": job["pause_reason"],
        "error": job["error"],
    }


def tell_refusal(status: int, problem: Mapping[str, Any]) -> str:
    """Tell why the REST API refused, with each field and its cure."""
    title = str(problem.get("title") or f"refused ({status})")
    detail = str(problem.get("detail") or "")
    fields = [
        f"{each.get('field')}: {each.get('message')}" for each in problem.get("errors") or [] if "message" in each
    ]
    return " ".join([title, *(fields or [detail])]).strip()
