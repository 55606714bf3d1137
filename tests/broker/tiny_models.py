"""Tiny models that an operator adds to a real broker: real trainings take seconds on them, not a minute."""

import json
from pathlib import Path
from typing import Any

from tests.broker.served import ServedBroker
from trainer.commands.make_tiny import make_tiny


def add_tiny(broker: ServedBroker, kind: str, place: Path, *options: str) -> Any:
    """Add the tiny model of a kind, made where it is not there yet, under the name of its folder."""
    if not place.exists():
        make_tiny(kind, place)
    added = broker.run_cli("models", "add", str(place), "--json", *options)
    assert added.returncode == 0, added.stderr
    return json.loads(added.stdout)
