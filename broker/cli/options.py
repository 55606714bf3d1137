"""Options that several commands share, and the settings that they go before."""

from pathlib import Path
from typing import Annotated

import typer

from broker.config import Settings

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept (BROKER_DATA_DIR).")]


def load_settings(**options: object) -> Settings:
    """Load the settings: options of the command line go before the environment."""
    return Settings.model_validate({name: value for name, value in options.items() if value is not None})
