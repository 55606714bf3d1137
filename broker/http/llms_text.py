"""`/llms.txt`: the service for a language model that writes code against it, in the form of llmstxt.org.

The operations are those of the API's description, so that none is missing and none is invented.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

MARKDOWN = "text/markdown; charset=utf-8"
START = """\
# LoRA Broker

> Quotes, queues, meters and bills LoRA training on GPUs. A job costs what its quote says, within a limit that its
> customer sets; money is held before a job is queued, and charged for what ran.

Requests carry `Authorization: Bearer KEY`. Every POST takes an `Idempotency-Key`: with it, a request that is sent again
is done once. Errors are `application/problem+json`; `errors` names each field and its cure. Money is text in yuan, such
as `{"amount": "12.50", "currency": "CNY"}`; times are UTC; lists are pages, followed by `next_cursor`.

To train: `POST /v1/datasets` (multipart, `files`), `POST /v1/quotes` (`config`, `dataset_id`), show the price to who
pays, then `POST /v1/jobs` (the same `config` and `dataset_id`, `quote_id`, `max_cost`). `GET /v1/jobs/{job_id}` tells
why it waits and what it has cost; its adapter is at `GET /v1/adapters/{adapter_id}/download`.

Never submit a job without a quote whose price a person has confirmed.

## Ways in

- [API description](/openapi.json): OpenAPI 3.1, with examples and the shapes of errors
- [Model Context Protocol](/mcp): tools that quote, submit and watch, with the same keys
- [OpenAI clients](/openai/v1): files, fine-tuning jobs, models, chat
- [Hugging Face hub client](/hf): adapters as repositories
- [Problems](/problems): every type of error, and what to do about it
"""


def add_llms_text(app: FastAPI) -> None:
    """Serve `/llms.txt`: anybody may read it, as the API's description."""

    @app.get("/llms.txt", include_in_schema=False)
    def get_llms_text() -> PlainTextResponse:
        return PlainTextResponse(write_llms_text(app.openapi()), media_type=MARKDOWN)


def write_llms_text(description: Mapping[str, Any]) -> str:
    """Write the text for an OpenAPI description: how to begin, then its operations by their first tag."""
    groups = dict[str, list[str]]()
    for tag, line in _list_operations(description["paths"]):
        groups.setdefault(tag, []).append(line)
    parts = [f"## {tag.capitalize()}\n\n" + "\n".join(groups[tag]) for tag in sorted(groups)]
    return "\n\n".join([START.rstrip("\n"), *parts]) + "\n"


def _list_operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, item in paths.items():
        for method, operation in item.items():
            said = operation.get("description") or operation["summary"]
            sentence = " ".join(said.split("\n\n")[0].split())
            yield (operation.get("tags") or ["other"])[0], f"- `{method.upper()} {path}`: {sentence}"
