"""The paths of `trainer serve` in the OpenAI form, as a Starlette application."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainer.errors import BadInput
from trainer.serving.answers import (
    Kind,
    describe_completion,
    describe_images,
    describe_models,
    stream_completion,
)
from trainer.serving.host import ModelHost
from trainer.serving.names import NameGuard
from trainer.serving.refusals import EXPLAINED, explain
from trainer.serving.requests import ChatRequest, CompletionRequest, ImageRequest, TextRequest, parse_request
from trainer.serving.taking import AdapterTaker
from trainer.serving.text import TextServer

if TYPE_CHECKING:
    from trainer.serving.images import ImageServer  # brings diffusers, which text does without

LARGEST_BODY_BYTES = 1 << 20
SILENCE_SECONDS = 60  # a client that sends nothing, or takes nothing, for so long is let go


def build_application(
    host: ModelHost,
    model: "TextServer | ImageServer",
    taker: AdapterTaker | None = None,
    names: frozenset[str] | None = None,
) -> Starlette:
    """Put the paths together, for requests to `names` alone. Whatever goes wrong is answered in the OpenAI form."""
    answers = Answers(host, model)
    application = Starlette(
        routes=[
            Route("/healthz", answers.tell_health, methods=["GET"]),
            Route("/v1/models", answers.list_models, methods=["GET"]),
            Route("/v1/chat/completions", answers.chat, methods=["POST"]),
            Route("/v1/completions", answers.complete, methods=["POST"]),
            Route("/v1/images/generations", answers.draw, methods=["POST"]),
            *([] if taker is None else taker.routes()),
        ],
        middleware=[*([] if names is None else [Middleware(NameGuard, names=names)]), Middleware(SendLimit)],
        exception_handlers=dict.fromkeys(EXPLAINED, answers.refuse),
    )
    application.router.redirect_slashes = False
    return application


class Answers:
    """The answer to each path; the model works in a thread, for one request at a time."""

    def __init__(self, host: ModelHost, model: "TextServer | ImageServer") -> None:
        self._host, self._model = host, model
        self._numbers = itertools.count(1)

    async def tell_health(self, _request: Request) -> Response:
        return self._answer({"status": "ok"})

    async def list_models(self, _request: Request) -> Response:
        return self._answer(describe_models(await run_in_threadpool(self._host.list_names)))

    async def chat(self, request: Request) -> Response:
        body = await read_body(request)
        model, asked = self._text_model(), parse_request(ChatRequest, body)
        laid_out = model.write_chat([(message.role, message.content) for message in asked.messages])
        return await self._answer_text(model, "chat", asked, laid_out)

    async def complete(self, request: Request) -> Response:
        body = await read_body(request)
        model, asked = self._text_model(), parse_request(CompletionRequest, body)
        return await self._answer_text(model, "text", asked, model.write_prompt(asked.prompt))

    async def draw(self, request: Request) -> Response:
        asked, model = parse_request(ImageRequest, await read_body(request)), self._model
        if isinstance(model, TextServer):
            raise BadInput("model", "this server holds a language model; ask /v1/chat/completions")
        side, as_png = model.check_size(asked.size), "image/png" in request.headers.get("Accept", "")
        if as_png and asked.n > 1:
            raise BadInput("n", "an image/png is one picture; leave that out of Accept for several")
        async with self._host.using(asked.model):
            seeds = range(asked.seed, asked.seed + asked.n)
            pictures = [await run_in_threadpool(model.draw, asked.prompt, seed=seed, side=side) for seed in seeds]
            if as_png:
                return Response(pictures[0], headers=self._describe_switch(), media_type="image/png")
            return self._answer(describe_images(pictures))

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Say what was wrong, and close the connection: the body may be unread."""
        status, content = explain(error, request.url.path)
        response = self._answer(content, status)
        response.headers["Connection"] = "close"
        return response

    async def _answer_text(self, model: TextServer, kind: Kind, asked: TextRequest, text: list[str]) -> Response:
        name, answer_id = asked.model or self._host.base_name, f"cmpl-{next(self._numbers)}"
        if asked.stream:
            return EventStream(self._write_events(model, kind, answer_id, name, asked, text))
        async with self._host.using(name):
            pieces = await run_in_threadpool(lambda: list(model.generate(text, asked.sampling)))
            return self._answer(describe_completion(kind, answer_id, name, pieces))

    async def _write_events(
        self, model: TextServer, kind: Kind, answer_id: str, name: str, asked: TextRequest, text: list[str]
    ) -> AsyncGenerator[bytes]:
        async with self._host.using(name):
            with closing(model.generate(text, asked.sampling)) as pieces:
                async for event in iterate_in_threadpool(stream_completion(kind, answer_id, name, pieces)):
                    yield event

    def _text_model(self) -> TextServer:
        if not isinstance(self._model, TextServer):
            raise BadInput("model", "this server holds an image model; ask /v1/images/generations")
        return self._model

    def _answer(self, content: dict[str, Any], status: int = HTTPStatus.OK) -> Response:
        return JSONResponse(content, status, self._describe_switch())

    def _describe_switch(self) -> dict[str, str]:
        return {"X-Switch-Milliseconds": f"{self._host.last_switch_seconds * 1000:.1f}"}


class EventStream(StreamingResponse):
    """Server-sent events. The answer begins with the first of them, so that a prompt can be refused until then."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "Connection": "close"})
        self._events = events

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._events):  # a client that leaves must not keep the model
            self.body_iterator = _put_back(await anext(self._events), self._events)
            await super().stream_response(send)


async def _put_back(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in others:
        yield event


class SendLimit:
    """Raises TimeoutError where a client takes nothing for SILENCE_SECONDS: a stream holds the model meanwhile."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SILENCE_SECONDS):
                await send(message)

        await self._app(scope, receive, send_in_time)


async def read_body(request: Request) -> bytes:
    """Read a body of moderate length. Raises: HTTPException (413), TimeoutError, ClientDisconnect."""
    body = bytearray()
    length = int(request.headers.get("Content-Length", "0"))  # h11 lets nothing but a number through
    async with asyncio.timeout(SILENCE_SECONDS):
        chunks = request.stream()
        while length <= LARGEST_BODY_BYTES and (chunk := await anext(chunks, None)) is not None:
            body += chunk
            length = max(length, len(body))
    if length > LARGEST_BODY_BYTES:
        message = f"a body has at most {LARGEST_BODY_BYTES} bytes"
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    return bytes(body)
