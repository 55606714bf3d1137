"""Chats in DashScope's own form, written as OpenAI's, and their answers the other way. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.facades.orders import read_object, refuse

# Said alike in both; what else a client sends is of models that are not here.
SHARED = ("temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "n", "tools", "tool_choice")
STILL_SPEAKING = "null"  # the reason for which an answer that goes on has ended


@dataclass(frozen=True)
class ChatForm:
    """How an answer is to be written: as messages or as plain text; in pieces as each comes, or with all before it."""

    as_messages: bool
    is_incremental: bool


def read_chat(body: Mapping[str, Any], *, is_streamed: bool) -> tuple[dict[str, Any], ChatForm]:
    """Read the body of a chat completion, and how its answer is to be written. Raises: Refused."""
    told, parameters = read_object(body, "input"), read_object(body, "parameters")
    messages = told.get("messages") or ([{"role": "user", "content": told["prompt"]}] if told.get("prompt") else None)
    if not isinstance(messages, list):
        raise refuse("input.messages", "is needed")
    asked = {name: parameters[name] for name in SHARED if parameters.get(name) is not None}
    asked |= {"model": body.get("model"), "messages": [_read_message(each) for each in messages], "stream": is_streamed}
    return asked, ChatForm(parameters.get("result_format") == "message", parameters.get("incremental_output") is True)


def _read_message(message: Any) -> Any:
    """Read a message: its parts have no kind there, since each is of the one that it names."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list):
        return message
    return {**message, "content": [{"type": "text", **part} if "text" in part else part for part in content]}


def write_answer(answer: Mapping[str, Any], form: ChatForm) -> dict[str, Any]:
    """Write a whole answer."""
    choices = [_write_choice(each, each.get("message") or {}) for each in answer["choices"]]
    return {"output": _write_output(choices, form), "usage": write_usage(answer.get("usage"))}


def write_piece(chunk: Mapping[str, Any], said: str, form: ChatForm) -> dict[str, Any]:
    """Write a piece of an answer; `said`: the text of all before it and its own, or its own alone."""
    choices = [_write_choice(each, {"content": said, **_list_tools(each)}) for each in chunk["choices"][:1]]
    return {"output": _write_output(choices, form), "usage": write_usage(chunk.get("usage"))}


def _list_tools(choice: Mapping[str, Any]) -> dict[str, Any]:
    calls = (choice.get("delta") or {}).get("tool_calls")
    return {} if calls is None else {"tool_calls": calls}


def _write_choice(choice: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    said = {"role": "assistant", **message, "content": message.get("content") or ""}
    return {"finish_reason": choice.get("finish_reason") or STILL_SPEAKING, "message": said}


def _write_output(choices: list[dict[str, Any]], form: ChatForm) -> dict[str, Any]:
    if form.as_messages:
        return {"choices": choices}
    first: dict[str, Any] = choices[0] if choices else {"finish_reason": STILL_SPEAKING, "message": {"content": ""}}
    return {"text": first["message"]["content"], "finish_reason": first["finish_reason"]}


def write_usage(usage: Mapping[str, Any] | None) -> dict[str, int]:
    """Write how many tokens were read and written, as far as the server tells."""
    told = usage or {}
    read, written = int(told.get("prompt_tokens") or 0), int(told.get("completion_tokens") or 0)
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
