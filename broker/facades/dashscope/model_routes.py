"""Models: the base models that can be trained, and what training made."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from broker.facades.asking import Broker, require_name
from broker.facades.dashscope.door import answer, facade_router
from broker.facades.dashscope.file_routes import PageNo, PageSize
from broker.facades.model_names import find_adapter_id, name_adapter
from broker.facades.models import find_name, list_all, list_newest

router = facade_router()
MOST_ADAPTERS = 1000


@router.get("/models")
async def list_models(request: Request, page_no: PageNo = 1, page_size: PageSize = 10, model: str = "") -> Response:
    """List models, or the one of a name: base models first, then the newest adapters."""
    broker = Broker(request)
    if model:
        found = [await _get_model(broker, model)]
    else:
        found = [_write_base(each) for each in await list_all(broker, "/base-models") if each["can_be_quoted"]]
        found += [_write_adapter(each) for each in await list_newest(broker, "/adapters", MOST_ADAPTERS)]
    first = (page_no - 1) * page_size
    told = {"page_no": page_no, "page_size": page_size, "total": len(found)}
    return answer({"output": {**told, "models": found[first : first + page_size]}})


# The name of a model may hold slashes.
@router.get("/models/{model:path}")
async def get_model(request: Request, model: str) -> Response:
    return answer({"output": await _get_model(Broker(request), model)})


async def _get_model(broker: Broker, model: str) -> dict[str, Any]:
    adapter_id = find_adapter_id(model)
    if adapter_id is not None:
        return _write_adapter(await broker.get(f"/adapters/{require_name(adapter_id)}"))
    return _write_base(await broker.get(f"/base-models/{require_name(await find_name(broker, model))}"))


def _write_base(model: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": model["name"], "name": model["name"], "source": "base", "provider": "broker"}


def _write_adapter(adapter: Mapping[str, Any]) -> dict[str, Any]:
    told = {"model": name_adapter(adapter), "name": adapter["name"], "base_model": adapter["base_model"]}
    return {**told, "source": "custom", "provider": adapter["customer_id"]}
