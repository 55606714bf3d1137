"""What a job is to be trained from: a base model by the name it has elsewhere, or an adapter to go on from."""

from collections.abc import Mapping
from typing import Any

from broker.facades.asking import Broker, require_name
from broker.facades.model_names import find_adapter_id, find_base_model

# What a training that goes on from an adapter has as that one has it.
INHERITED = ("lora_rank", "lora_alpha", "target_modules", "variant")


async def start_from(broker: Broker, model: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a training configuration by what a model's name stands for. Raises: Refused.

    What goes on from an adapter has its rank and modules, unless others are asked for.
    """
    adapter_id = find_adapter_id(model)
    if adapter_id is None:
        return {**config, "base_model": await find_name(broker, model)}
    adapter = await broker.get(f"/adapters/{require_name(adapter_id)}")
    inherited = {name: adapter["config"][name] for name in INHERITED if adapter["config"].get(name) is not None}
    return {**inherited, **config, "base_model": adapter["base_model"], "init_from": adapter["id"]}


async def find_name(broker: Broker, model: str) -> str:
    """Find the name that a base model has here.

    One that is not known stays as it is: the REST API tells which are on offer, and which may be meant.
    """
    return find_base_model(model, await list_all(broker, "/base-models")) or model


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
