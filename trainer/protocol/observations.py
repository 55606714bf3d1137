"""Losses and samples on their way to the broker: kept until a heartbeat has told them."""

import base64
import io
import math
import re
import threading
from pathlib import Path
from typing import Any

from PIL import Image

LONGEST_PROMPT, LONGEST_TEXT, LONGEST_ADVICE = 2000, 4000, 2000
PICTURE_PIXELS = 256
JPEG_QUALITY = 75
IN_ONE_REQUEST = {"validations": 100, "samples": 16, "losses": 100}
# Of a broker that is away for hours only the newest are kept: they lie in memory.
KEPT = 200
NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")

Observations = dict[str, list[dict[str, Any]]]


class PendingObservations:
    """What the recipe saw of the run from outside. Threads: the recipe adds, the heartbeat lists and forgets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: Observations = {kind: [] for kind in IN_ONE_REQUEST}
        self._open: dict[str, Any] | None = None

    def add_loss(self, *, step: int, loss: float) -> None:
        """Add a step's training loss to those since the last heartbeat, with the lowest and the highest of them.

        One that is not finite is left out: the run fails for it.
        """
        if not math.isfinite(loss):
            return
        with self._lock:
            if self._open is None:
                self._open = {"first_step": step, "step": step, "mean": loss, "low": loss, "high": loss}
                self._pending["losses"].append(self._open)
                return
            steps = self._open
            count = steps["step"] - steps["first_step"] + 2
            steps["mean"] += (loss - steps["mean"]) / count
            steps["step"], steps["low"], steps["high"] = step, min(steps["low"], loss), max(steps["high"], loss)

    def add_validation(self, *, step: int, loss: float, advice: str | None) -> None:
        shown = loss if math.isfinite(loss) else None
        self._add("validations", {"step": step, "loss": shown, "advice": advice and advice[:LONGEST_ADVICE]})

    def add_text(self, *, step: int, prompt: str, text: str) -> None:
        self._add("samples", {"step": step, "prompt": clean(prompt, LONGEST_PROMPT), "text": clean(text, LONGEST_TEXT)})

    def add_picture(self, *, step: int, prompt: str, file: Path) -> None:
        """Keep a small copy of a picture. Raises: OSError, if it cannot be read."""
        self._add("samples", {"step": step, "prompt": clean(prompt, LONGEST_PROMPT), "image": shrink_picture(file)})

    def list_pending(self) -> Observations:
        """List what waits, the oldest first, as many as go into one request.

        Losses that are listed stay as they are; of a broker that stays away those beyond grow together.
        """
        with self._lock:
            if len(self._pending["losses"]) <= IN_ONE_REQUEST["losses"]:
                self._open = None
            return {kind: self._pending[kind][:most] for kind, most in IN_ONE_REQUEST.items()}

    def forget(self, told: Observations) -> None:
        """Drop what the broker was told."""
        known = {id(observation) for observations in told.values() for observation in observations}
        with self._lock:
            for kind, observations in self._pending.items():
                self._pending[kind] = [observation for observation in observations if id(observation) not in known]

    def __bool__(self) -> bool:
        with self._lock:
            return any(self._pending.values())

    @property
    def is_more_than_one_request(self) -> bool:
        with self._lock:
            return any(len(self._pending[kind]) > most for kind, most in IN_ONE_REQUEST.items())

    def _add(self, kind: str, observation: dict[str, Any]) -> None:
        with self._lock:
            self._pending[kind] = [*self._pending[kind], observation][-KEPT:]


def clean(text: str, longest: int) -> str:
    """Replace what JSON or PostgreSQL cannot hold, and cut the text to so many characters."""
    return NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", text)[:longest]


def shrink_picture(file: Path) -> str:
    """Make the picture a JPEG of at most 256 pixels each way, in a data URI."""
    with Image.open(file) as picture:
        small = picture.convert("RGB")
    small.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
