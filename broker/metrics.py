"""`GET /metrics`: what this process measures, in the text format of Prometheus."""

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def add_metrics_route(app: FastAPI, registry: CollectorRegistry) -> None:
    """Without a key, as health is: it tells of no customer."""

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> PlainTextResponse:
        """What this process measures, for Prometheus."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return PlainTextResponse(encode(registry), media_type=media_type)
