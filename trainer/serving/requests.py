"""The bodies that clients of the OpenAI form send, checked; keys that we do not know are passed over, as it does."""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trainer.errors import BadInput
from trainer.serving.text import Sampling

LONGEST_ANSWER = 8192
RequestT = TypeVar("RequestT", bound=BaseModel)


class TextPart(BaseModel):
    """A part of a message's content; only text can be read."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str

    @field_validator("content", mode="before")
    @classmethod
    def _join_parts(cls, content: Any) -> Any:
        if isinstance(content, list):
            return "\n".join(TextPart.model_validate(part).text for part in content)
        return content


class TextRequest(BaseModel):
    """What chat and plain completions have in common."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    stop: str | list[str] | None = None
    stream: bool = False
    n: Literal[1] = 1

    @property
    def sampling(self) -> Sampling:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        most = self.max_completion_tokens or self.max_tokens or Sampling.max_tokens
        return Sampling(most, self.temperature, self.top_p, self.seed, tuple(stop for stop in stops if stop))


class ChatRequest(TextRequest):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)


class CompletionRequest(TextRequest):
    """POST /v1/completions."""

    prompt: str = Field(min_length=1)


class ImageRequest(BaseModel):
    """POST /v1/images/generations."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    prompt: str = Field(min_length=1)
    n: int = Field(default=1, ge=1, le=4)
    size: str | None = Field(default=None, pattern=r"^\d{2,4}x\d{2,4}$")
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    response_format: Literal["b64_json"] = "b64_json"


def parse_request(kind: type[RequestT], body: bytes) -> RequestT:
    """Check a body. Raises: BadInput, with the key and what is wrong with it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(".".join(map(str, first["loc"])) or "body", first["msg"]) from error
