"""`broker jobs`, put together: each command's module is imported when it is chosen."""

from typing import Any

import typer

from broker.cli.deferred import DeferredGroup, Place

HERE = "broker.cli.remote.jobs"
COMMANDS = {
    "submit": Place(
        f"{HERE}.submit:submit_job",
        "Upload data, show what is wrong with them and what the job will cost, and submit it once you have said yes.",
    ),
    "sweep": Place(
        f"{HERE}.sweep:submit_sweep",
        "Price a job for each combination of some settings, and submit them all once you have said yes; all, or none.",
    ),
    "list": Place(
        f"{HERE}.listing:list_jobs",
        "List the latest jobs: where each stands, what it cost, why it waits or when it will have ended.",
    ),
    "show": Place(
        f"{HERE}.showing:show_job",
        "Show all about one job: progress, cost against quote and limit, attempts, samples, what to do next.",
    ),
    "watch": Place(
        f"{HERE}.watch:watch_job",
        "Follow a job until it has ended or is paused; exit code 1 unless it succeeded. Ctrl-C leaves the job running.",
    ),
    "follow": Place(
        f"{HERE}.watch:watch_job",
        "Follow a job until it has ended or is paused; exit code 1 unless it succeeded. Ctrl-C leaves the job running.",
        hidden=True,
    ),
    "why": Place(f"{HERE}.showing:explain_job", "Say why a job does not run, or when it will have ended."),
    "log": Place(
        f"{HERE}.logs:show_log",
        "Show what happened to a job in full, with losses and samples; errors and advice stand there, too.",
    ),
    "logs": Place(f"{HERE}.logs:show_training_log", "Show the lines that a job's training wrote, of all its runs."),
    "metrics": Place(f"{HERE}.metrics:show_metrics", "Show the training and validation loss of a job by step."),
    "events": Place(f"{HERE}.logs:list_events", "List what happened to a job, a line for each event."),
    "usage": Place(f"{HERE}.logs:show_usage", "Show what was metered, run by run, and what it costs."),
    "pause": Place(f"{HERE}.control:pause_job", "Pause a job after a checkpoint; its hold stays."),
    "resume": Place(f"{HERE}.control:resume_job", "Queue a paused job again; it goes on from its last checkpoint."),
    "cancel": Place(
        f"{HERE}.control:cancel_job", "Cancel a job; what it has used is billed, the rest of its hold is released."
    ),
    "set": Place(
        f"{HERE}.control:set_job",
        "Change a job's name, notes or pin; the GPU types of a waiting one; or its priority before others (ops).",
    ),
    "tensorboard": Place(
        f"{HERE}.download:fetch_event_files",
        "Write what a job's training told as event files into a folder, for `tensorboard --logdir`.",
    ),
    "download": Place(
        f"{HERE}.download:download_adapter_of_job",
        "Download the adapter that a job has made, as one .safetensors file.",
    ),
}


HELP_FLAG = "--help"


class JobsGroup(DeferredGroup):
    """The commands for jobs; `broker jobs` by itself, or with options, lists them."""

    places = COMMANDS

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the command, which is `list` where none is named."""
        is_named = args and (not args[0].startswith("-") or args[0] == HELP_FLAG)
        return super().parse_args(ctx, args if is_named or ctx.resilient_parsing else ["list", *args])


app = typer.Typer(
    cls=JobsGroup,
    add_completion=False,
    help="Training jobs: list, submit, follow, control, download.",
)


@app.callback()
def jobs() -> None:
    """Take what all commands for jobs have in common: nothing yet."""
