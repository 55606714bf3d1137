"""The server of the protocol: its name, its instructions, its tools; it remembers nothing between two requests."""

import hashlib
from typing import Any

from mcp.server import Server, ServerRequestContext
from mcp.server.mcpserver import MCPServer, RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

import broker
from broker.facades.mcp.tools import add_tools

NAME = "lora-broker"
INSTRUCTIONS = """
LoRA training, quoted before it runs. To train: find a data set (`list_datasets`) and a base model
(`list_base_models`), ask for a quote (`quote_job`), show its price to the person and wait for a yes, then submit that
quote (`submit_job`) with the price that was confirmed and the most that the job may cost. `watch_job` follows it,
`explain_job` says why it waits. Money is in yuan (CNY), as text. Data are uploaded by REST or `broker datasets upload`.
"""
# A question to a person is answered within this time, or asked anew.
ANSWER_SECONDS = 3600.0
# The bearer's key is what guards this door: a page of a foreign site that is open in a browser has none.
SECURITY = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def make_server(key: bytes) -> Server[Any]:
    """Make the server; what it gives a client to bring back is sealed by 32 bytes that all processes share."""
    security = RequestStateSecurity(keys=[key], ttl=ANSWER_SECONDS, bind_principal=_name_bearer)
    server = MCPServer[Any](
        NAME,
        title="LoRA Broker",
        instructions=INSTRUCTIONS.strip(),
        version=broker.__version__,
        log_level="WARNING",
        request_state_security=security,
        subscriptions=False,
    )
    add_tools(server)
    server.streamable_http_app(stateless_http=True)
    return server.session_manager.app


def open_manager(server: Server[Any]) -> StreamableHTTPSessionManager:
    """Open what answers one request."""
    return StreamableHTTPSessionManager(server, stateless=True, security_settings=SECURITY)


def _name_bearer(ctx: ServerRequestContext[Any, Any]) -> str | None:
    """Name who may bring a question's answer: the key that was asked."""
    bearer = ctx.request.headers.get("authorization", "") if ctx.request is not None else ""
    return hashlib.sha256(bearer.encode()).hexdigest()
