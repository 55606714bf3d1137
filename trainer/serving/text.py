"""Completions of a language model, as tokens come."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pricing.datasets.text_format import TextRow
from trainer.errors import BadInput
from trainer.families.text.causal_lm import CausalLM
from trainer.serving.hot_swap import HotSwap

SYSTEM_ROLES = {"system", "developer"}  # the newer name and the older one
HALF_CHARACTER = "\ufffd"  # what a cut UTF-8 sequence is decoded to


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. temperature 0 takes the likeliest; `stop`: texts before which an answer ends."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """The next piece of an answer; the last one has a finish reason (`stop` or `length`) and the token counts."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class TextServer(HotSwap):
    """A language model with its adapters."""

    def __init__(self, family: CausalLM) -> None:
        super().__init__(family.model.eval())
        self.tokenizer, self.device = family.tokenizer, family.device
        self.context = int(family.model.config.max_position_embeddings)
        self._ends = _list_ends(family)

    def write_chat(self, messages: Sequence[tuple[str, str]]) -> list[str]:
        """Lay out a conversation, (role, content) each, as the base model expects it, up to where its answer begins:
        in pieces, which are encoded apart as in training.

        Raises: BadInput.
        """
        system = [content for role, content in messages if role in SYSTEM_ROLES]
        turns = [(role, content.strip()) for role, content in messages if role not in SYSTEM_ROLES]
        if [role for role, _ in turns] != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
            raise BadInput("messages", "user and assistant take turns, the first and the last being user's")
        texts = [content for _, content in turns]
        if not texts[-1]:
            raise BadInput("messages", "the last message is empty; there is nothing to answer")
        history = tuple(zip(texts[:-1:2], texts[1::2], strict=True))
        row = TextRow(texts[-1], "", system="\n\n".join(system) if system else None, history=history)
        return self.tokenizer.text_format.lay_out_prompt(row)

    def write_prompt(self, prompt: str) -> list[str]:
        """Lay out a text that the model goes on with, begun as its tokenizer begins every text."""
        begin = self.tokenizer.text_format.begin
        return [begin, prompt] if begin and not prompt.startswith(begin) else [prompt]

    @torch.inference_mode()
    def generate(self, pieces: Sequence[str], sampling: Sampling) -> Generator[Piece]:
        """Yield the answer piece by piece. Raises: BadInput, if the prompt fills the model's context."""
        prompt_ids = self.tokenizer.encode_pieces(pieces)
        room = self.context - len(prompt_ids)
        if not prompt_ids or room < 1:
            raise BadInput("prompt", f"{len(prompt_ids)} tokens do not fit; this model reads 1 to {self.context - 1}")
        generator = torch.Generator().manual_seed(sampling.seed) if sampling.seed is not None else None
        answer, reason = GrowingText(self.tokenizer.decode, sampling.stop), "length"
        for token in self._draw_tokens(prompt_ids, min(sampling.max_tokens, room), sampling, generator):
            if token in self._ends:
                reason = "stop"
                break
            yield Piece(answer.add(token))
            if answer.is_stopped:
                reason = "stop"
                break
        yield Piece(answer.finish(), reason, len(prompt_ids), len(answer.token_ids))

    def _draw_tokens(
        self, prompt_ids: list[int], most: int, sampling: Sampling, generator: torch.Generator | None
    ) -> Iterator[int]:
        given, past = torch.tensor([prompt_ids], device=self.device), None
        for _ in range(most):
            output = self.model(input_ids=given, past_key_values=past, use_cache=True, logits_to_keep=1)
            past = output.past_key_values
            token = choose_token(output.logits[0, -1].float().cpu(), sampling, generator)
            yield token
            given = torch.tensor([[token]], device=self.device)


def choose_token(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator | None) -> int:
    """Take the likeliest token, or draw from the smallest set of likeliest tokens with `top_p` of the probability.

    Source: Holtzman et al. 2019, "The Curious Case of Neural Text Degeneration".
    """
    if sampling.temperature <= 0:
        return int(logits.argmax())
    below = (logits - logits.max()).double()  # the likeliest is 0, which no temperature, however small, makes infinite
    probabilities, order = (below / sampling.temperature).softmax(-1).float().sort(descending=True)
    before = probabilities.cumsum(-1) - probabilities
    left_out = before >= sampling.top_p
    left_out[0] = False  # the likeliest stays, however small top_p is
    probabilities = probabilities.masked_fill(left_out, 0.0)
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])


def _list_ends(family: CausalLM) -> frozenset[int]:
    """List the tokens that end an answer: the model's own, and what the text format puts behind a completion."""
    own: Any = getattr(family.model.generation_config, "eos_token_id", None) or family.model.config.eos_token_id
    own = own if isinstance(own, list) else [own]
    after = family.tokenizer.encode(family.tokenizer.text_format.after_completion.strip())
    return frozenset(token for token in [*own, *after[:1]] if token is not None)


class GrowingText:
    """An answer as its tokens come: what may be shown already, and whether a stop text has come."""

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str]) -> None:
        self.token_ids: list[int] = []
        self.is_stopped = False
        self._decode, self._stops, self._shown = decode, stops, 0

    def add(self, token: int) -> str:
        """Take a token and return the text it brings: none while that is half a character or may become a stop text."""
        self.token_ids.append(token)
        text = self._decode(self.token_ids)
        found = [text.index(stop) for stop in self._stops if stop in text]
        if found:
            self.is_stopped = True
            return self._show(text[: min(found)])
        return "" if text.endswith(HALF_CHARACTER) else self._show(text[: len(text) - self._count_held(text)])

    def finish(self) -> str:
        """Return what was held back and is no stop text after all."""
        return "" if self.is_stopped else self._show(self._decode(self.token_ids))

    def _show(self, text: str) -> str:
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        return new

    def _count_held(self, text: str) -> int:
        return max((n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
