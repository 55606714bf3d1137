"""Answers in the OpenAI form."""

import base64
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from trainer.serving.text import Piece

Kind = Literal["chat", "text"]
OBJECTS = {"chat": "chat.completion", "text": "text_completion"}


def describe_models(names: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """List the base model first; `created` is the Unix time of a file's last change."""
    models = [
        {"id": name, "object": "model", "created": created, "owned_by": "adapter" if created else "base"}
        for name, created in names
    ]
    return {"object": "list", "data": models}


def describe_completion(kind: Kind, answer_id: str, model: str, pieces: Sequence[Piece]) -> dict[str, Any]:
    last, text = pieces[-1], "".join(piece.text for piece in pieces)
    said = {"message": {"role": "assistant", "content": text}} if kind == "chat" else {"text": text}
    return {
        "id": answer_id,
        "object": OBJECTS[kind],
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, **said, "finish_reason": last.finish_reason}],
        "usage": {
            "prompt_tokens": last.prompt_tokens,
            "completion_tokens": last.completion_tokens,
            "total_tokens": last.prompt_tokens + last.completion_tokens,
        },
    }


def stream_completion(kind: Kind, answer_id: str, model: str, pieces: Iterator[Piece]) -> Iterator[bytes]:
    """Write server-sent events, one for each piece, and `[DONE]`."""
    shared = {"id": answer_id, "created": int(time.time()), "model": model}
    shared["object"] = "chat.completion.chunk" if kind == "chat" else "text_completion"
    for piece in pieces:
        if not piece.text and piece.finish_reason is None:
            continue
        said = {"delta": {"role": "assistant", "content": piece.text}} if kind == "chat" else {"text": piece.text}
        choice = {"index": 0, **said, "finish_reason": piece.finish_reason}
        yield b"data: " + json.dumps({**shared, "choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def describe_images(pictures: Sequence[bytes]) -> dict[str, Any]:
    return {
        "created": int(time.time()),
        "data": [{"b64_json": base64.b64encode(picture).decode("ascii")} for picture in pictures],
    }


def describe_error(message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
