"""The run's log is standard output, a line at a time."""


def write_line(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is where the log goes
