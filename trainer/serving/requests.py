"""The bodies that clients of the OpenAI form send, checked; keys that we do not know are passed over, as it does."""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.errors import BadInput
from trainer.serving.text import Sampling

LONGEST_ANSWER = 8192
MOST_STOPS = 16
RequestT = TypeVar("RequestT", bound=BaseModel)


class TextPart(BaseModel):
    """A part of a message's content; only text can be read."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a chat; its content is one text, also where it came in parts."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    parts: str | list[TextPart] = Field(alias="content")

    @property
    def content(self) -> str:
        return self.parts if isinstance(self.parts, str) else "\n".join(part.text for part in self.parts)


class TextRequest(BaseModel):
    """What chat and plain completions have in common."""

    model_config = ConfigDict(extra="ignore", strict=True)

    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    stop: str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None = None
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

    model_config = ConfigDict(extra="ignore", strict=True)

    model: str | None = None
    prompt: str = Field(min_length=1)
    n: int = Field(default=1, ge=1, le=4)
    size: str | None = Field(default=None, pattern=r"^[0-9]{1,5}x[0-9]{1,5}$")
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    response_format: Literal["b64_json"] = "b64_json"


def parse_request(kind: type[RequestT], body: bytes) -> RequestT:
    """Check a body. Raises: BadInput, with the key and what is wrong with it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = max(error.errors(), key=lambda one: len(one["loc"]))  # of several forms the one that fitted longest
        place = [str(part) for part in found["loc"] if part != "str" and not str(part).startswith("list[")]
        raise BadInput(".".join(place) or "body", found["msg"]) from error
