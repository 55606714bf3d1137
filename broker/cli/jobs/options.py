"""Arguments that the commands of `broker jobs` share."""

from typing import Annotated

import typer

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or the beginning of it.")]
