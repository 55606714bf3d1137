"""`broker jobs`, put together."""

import typer

from broker.cli.jobs import control, download, listing, logs, showing, submit, watch

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Training jobs: submit, follow, control, download.")

app.command("submit")(submit.submit_job)
app.command("list")(listing.list_jobs)
app.command("show")(showing.show_job)
app.command("watch")(watch.watch_job)
app.command("follow", hidden=True)(watch.watch_job)
app.command("why")(showing.explain_job)
app.command("log")(logs.show_log)
app.command("events")(logs.list_events)
app.command("usage")(logs.show_usage)
app.command("pause")(control.pause_job)
app.command("resume")(control.resume_job)
app.command("cancel")(control.cancel_job)
app.command("download")(download.download_adapter_of_job)
