"""The HTTP side of `trainer serve`: OpenAI's paths, on the loopback unless told otherwise."""

import itertools
import json
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from trainer.errors import AdapterUnusable, BadInput, TrainerError
from trainer.log import write_line
from trainer.serving.answers import (
    Kind,
    describe_completion,
    describe_error,
    describe_images,
    describe_models,
    stream_completion,
)
from trainer.serving.host import ModelHost, UnknownModel
from trainer.serving.requests import ChatRequest, CompletionRequest, ImageRequest, TextRequest, parse_request
from trainer.serving.text import TextServer

if TYPE_CHECKING:
    from trainer.serving.images import ImageServer  # brings diffusers, which text does without

LARGEST_BODY_BYTES = 1 << 20
SILENCE_SECONDS = 60  # a client that sends nothing for so long is let go


class AdapterServer(ThreadingHTTPServer):
    """Holds the model; every request is a thread, and the model is used by one at a time."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], host: ModelHost, model: "TextServer | ImageServer") -> None:
        super().__init__(address, RequestHandler)
        self.host, self.model = host, model
        self.numbers = itertools.count(1)
        self._answering = 0
        self._changed = threading.Condition()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around every answer, so that the end waits for it."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._changed:
            self._answering += more
            self._changed.notify_all()

    def finish_answers(self, timeout_seconds: float) -> None:
        """Take no more connections, and wait for the answers in hand."""
        self.socket.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._answering, timeout_seconds)


class RequestHandler(BaseHTTPRequestHandler):
    """One request. Whatever goes wrong is answered in the OpenAI form."""

    server: AdapterServer
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_SECONDS

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _get(self) -> None:
        if self.path == "/healthz":
            self._send({"status": "ok"})
        elif self.path == "/v1/models":
            self._send(describe_models(self.server.host.list_names()))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path}")

    def _post(self) -> None:
        paths: dict[str, Callable[[bytes], None]] = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._complete,
            "/v1/images/generations": self._draw,
        }
        body = self._read_body()
        if body is None:
            return
        if self.path not in paths:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path}")
            return
        paths[self.path](body)

    def _chat(self, body: bytes) -> None:
        model, request = self._text_model(), parse_request(ChatRequest, body)
        text = model.write_chat([message.model_dump() for message in request.messages])
        self._send_text(model, "chat", request, text)

    def _complete(self, body: bytes) -> None:
        model, request = self._text_model(), parse_request(CompletionRequest, body)
        self._send_text(model, "text", request, request.prompt)

    def _send_text(self, model: TextServer, kind: Kind, request: TextRequest, text: str) -> None:
        host = self.server.host
        name, answer_id = request.model or host.base_name, f"cmpl-{next(self.server.numbers)}"
        with host.using(name):
            pieces = model.generate(text, request.sampling)
            if not request.stream:
                self._send(describe_completion(kind, answer_id, name, list(pieces)))
                return
            first = next(pieces)  # a prompt that is refused is refused before the answer begins
            self._stream(stream_completion(kind, answer_id, name, itertools.chain([first], pieces)))

    def _draw(self, body: bytes) -> None:
        model, request = self.server.model, parse_request(ImageRequest, body)
        if isinstance(model, TextServer):
            raise BadInput("model", "this server holds a language model; ask /v1/chat/completions")
        with self.server.host.using(request.model):
            seeds = range(request.seed, request.seed + request.n)
            pictures = [model.draw(request.prompt, seed=seed, size=request.size) for seed in seeds]
        if "image/png" in self.headers.get("Accept", ""):
            self._send_bytes(pictures[0], "image/png")
        else:
            self._send(describe_images(pictures))

    def _text_model(self) -> TextServer:
        if not isinstance(self.server.model, TextServer):
            raise BadInput("model", "this server holds an image model; ask /v1/images/generations")
        return self.server.model

    def _answer(self, work: Callable[[], None]) -> None:
        with self.server.answering():
            self._work(work)

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except UnknownModel as error:
            message = f"the model {error} does not exist; GET /v1/models lists those that do"
            self._refuse(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")
        except BadInput as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), param=error.field)
        except AdapterUnusable as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), param="model", code="adapter_unusable")
        except TrainerError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except (ConnectionError, TimeoutError):  # the client has gone
            self.close_connection = True
        except Exception:  # noqa: BLE001 - one request that fails must not take its client's connection along
            write_line(traceback.format_exc())
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "this request failed; the server's log says why")

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "say Content-Length")
            return None
        if int(length) > LARGEST_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {LARGEST_BODY_BYTES} bytes")
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: HTTPStatus, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.close_connection = True  # the body may be unread
        self._send(describe_error(message, param=param, code=code), status)

    def _send(self, answer: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send_bytes(json.dumps(answer, ensure_ascii=False).encode(), "application/json", status)

    def _send_bytes(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Switch-Milliseconds", f"{self.server.host.last_switch_seconds * 1000:.1f}")
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, events: Iterable[bytes]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            for event in events:
                self.wfile.write(event)
                self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name that http.server calls
        write_line(f"{self.address_string()} {format % arguments}")
