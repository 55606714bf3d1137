"""Models: the base models that can be trained, and the adapters that training made."""

from typing import Any

from fastapi import Request

from broker.facades.asking import Broker, require_name
from broker.facades.model_names import find_adapter_id
from broker.facades.models import list_all
from broker.facades.openai.door import facade_router
from broker.facades.openai.objects import write_adapter, write_base_model
from broker.facades.orders import refuse

router = facade_router()


@router.get("/models")
async def list_models(request: Request) -> dict[str, Any]:
    """List all models: those that can be trained, and what was trained. The clients know no pages of them."""
    broker = Broker(request)
    models = [write_base_model(each) for each in await list_all(broker, "/base-models") if each["can_be_quoted"]]
    adapters = [write_adapter(each) for each in await list_all(broker, "/adapters")]
    return {"object": "list", "data": models + adapters}


# The name of a model may hold slashes, which clients send as %2F.
@router.get("/models/{model:path}")
async def retrieve_model(request: Request, model: str) -> dict[str, Any]:
    adapter_id = find_adapter_id(model)
    if adapter_id is None:
        return write_base_model(await Broker(request).get(f"/base-models/{require_name(model)}"))
    return {**write_adapter(await Broker(request).get(f"/adapters/{require_name(adapter_id)}")), "id": model}


@router.delete("/models/{model:path}")
async def delete_model(request: Request, model: str) -> dict[str, Any]:
    """Delete an adapter."""
    adapter_id = find_adapter_id(model)
    if adapter_id is None:
        raise refuse("model", "is a base model, which is not yours to delete")
    await Broker(request).send("DELETE", f"/adapters/{require_name(adapter_id)}")
    return {"id": model, "object": "model", "deleted": True}
