"""Options that several commands share, and the settings that they go before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from broker.config import Settings
from broker.errors import OperatorError, describe_fault

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept (BROKER_DATA_DIR).")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


def load_settings(**options: object) -> Settings:
    """Load the settings: options of the command line go before the environment. Raises: OperatorError."""
    try:
        return Settings.model_validate({name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        raise OperatorError("; ".join(_describe(item) for item in error.errors())) from error


def _describe(fault: Mapping[str, Any]) -> str:
    name = "BROKER_" + "_".join(map(str, fault["loc"])).upper() if fault["loc"] else "settings"
    return f"{name}: {describe_fault(fault)}"
