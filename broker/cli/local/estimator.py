"""`broker estimator`, put together: each command's module is imported when it is chosen."""

import typer

from broker.cli.deferred import DeferredGroup, Place

COMMANDS = {
    "report": Place(
        "broker.cli.local.accuracy_report:report",
        "Report how good the estimates of finished jobs were: estimated and actual, coverage, error by group, drift.",
    ),
    "predict": Place(
        "broker.cli.local.predictions:predict_lines",
        "Read one request a line from standard input, and write its prediction, or an error for that line alone.",
    ),
}


class EstimatorGroup(DeferredGroup):
    places = COMMANDS


app = typer.Typer(
    cls=EstimatorGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Predictions, and how good the estimates were.",
)


@app.callback()
def _group() -> None:
    """Keep the group a group: Typer makes a lone command of a group that has no callback."""
