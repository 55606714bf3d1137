"""Asking the trainer, in a process of its own, what a base model's folder holds: the broker never imports torch."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from broker.errors import OperatorError
from pricing.catalog.described import ModelDescription

NOT_INSTALLED = ("No module named", "ModuleNotFoundError", "ImportError")
CURE = (
    "the trainer, which reads the model, is not installed here: run this on a machine that trains (with docker-compose "
    "`docker compose run --rm worker broker models add …`), or install it: pip install 'lora-broker[trainer]'"
)


def describe_model(trainer_argv: Sequence[str], model: Path, name: str, *, trace: bool = False) -> ModelDescription:
    """Describe a model folder or file by `trainer profile --for-broker`.

    `trainer_argv` is what starts a run; its last word is replaced. `trace`: with the memory of our own steps.
    Raises: OperatorError, with what the trainer has against the model.
    """
    program = trainer_argv[:-1] if trainer_argv[-1] == "run" else (sys.executable, "-m", "trainer")
    with TemporaryDirectory(prefix="lora-broker-") as folder:
        written = Path(folder) / "description.json"
        options = ["--name", name, "--for-broker", "--output", str(written), *(["--trace"] if trace else [])]
        _run([*program, "profile", str(model), *options])
        return ModelDescription.model_validate_json(written.read_bytes())


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise OperatorError(f"{command[0]} cannot be started ({error.strerror}); {CURE}") from error
    if done.returncode == 0:
        return
    lines = done.stderr.strip().splitlines() or ["no reason was given"]
    if any(sign in lines[-1] for sign in NOT_INSTALLED):
        raise OperatorError(f"{CURE} ({lines[-1]})")
    raise OperatorError(lines[-1])
