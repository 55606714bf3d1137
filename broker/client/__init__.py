"""A Python client of the REST API; the CLI and the demo are built on it.

It owns nothing and imports nothing of the service, so that it may be used without the rest: httpx, and of `pricing`
which files are data. Every POST carries an Idempotency-Key and is sent again where its answer got lost; every problem
is an `ApiError`, a broker that does not answer is `NotReachable`; a download is whole or not there. `BrokerClient`
waits and `AsyncBrokerClient` awaits; what both do stands in `exchange` and `transfers`. What is named here is imported
when it is first used: a command that only fails needs no more than the errors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.client.errors import ApiError, ClientError, DamagedDownload, NotReachable
    from broker.client.typed import BrokerClient
    from broker.client.typed_async import AsyncBrokerClient

__all__ = ["ApiError", "AsyncBrokerClient", "BrokerClient", "ClientError", "DamagedDownload", "NotReachable"]

MODULE_OF = {"BrokerClient": "typed", "AsyncBrokerClient": "typed_async"}


def __getattr__(name: str) -> Any:
    """Import what is named when it is used. Raises: AttributeError."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"broker.client.{MODULE_OF.get(name, 'errors')}"), name)
