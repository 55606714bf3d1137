"""Small programs that stand in for the trainer: what they tell lies in the run's own folder."""

SLEEP = "import time; time.sleep(300)"
# Each start leaves one line, so that a second start cannot hide.
COUNT_START = (
    "import json, os; open(os.environ['LORA_WORK_DIR'] + '/starts', 'a')"
    ".write(json.dumps(dict(os.environ) | {'pid': os.getpid()}) + '\\n'); "
)
RUN_ON = COUNT_START + SLEEP
IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + RUN_ON
# As the trainer does: it writes a checkpoint, and ends with 75.
SAVE_AND_END = (
    "import os, signal, sys; work = os.environ['LORA_WORK_DIR']; "
    "signal.signal(signal.SIGTERM, lambda *_: (open(work + '/checkpoint', 'w').close(), sys.exit(75))); " + RUN_ON
)


def end_with(code: int) -> str:
    """Write a program that ends at once, with an exit code."""
    return COUNT_START + f"raise SystemExit({code})"
