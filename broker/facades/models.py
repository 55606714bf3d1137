"""What a job is to be trained from: a base model by the name it has elsewhere, or an adapter to go on from."""

from typing import Any

from broker.facades.asking import Broker, require_name
from broker.facades.model_names import find_adapter_id, find_base_model


async def find_start(broker: Broker, model: str) -> dict[str, Any]:
    """Find the keys of a training configuration that a model's name stands for. Raises: Refused.

    A name that is not known stays as it is: the REST API tells which are on offer, and which may be meant.
    """
    adapter_id = find_adapter_id(model)
    if adapter_id is not None:
        adapter = await broker.get(f"/adapters/{require_name(adapter_id)}")
        return {"base_model": adapter["base_model"], "init_from": adapter["id"]}
    known = await list_all(broker, "/base-models")
    return {"base_model": find_base_model(model, known) or model}


async def list_newest(broker: Broker, path: str, most: int) -> list[dict[str, Any]]:
    """List the newest objects of a path, for clients that know no pages; so many at most."""
    page = await broker.get(path, limit=100)
    found = list(page["data"])
    while page["next_cursor"] is not None and len(found) < most:
        page = await broker.get(path, limit=100, cursor=page["next_cursor"])
        found += page["data"]
    return found[:most]


async def list_all(broker: Broker, path: str) -> list[dict[str, Any]]:
    """List all objects of a path, page by page."""
    page = await broker.get(path, limit=100)
    found = list(page["data"])
    while page["next_cursor"] is not None:
        page = await broker.get(path, limit=100, cursor=page["next_cursor"])
        found += page["data"]
    return found
