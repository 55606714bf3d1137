"""`docs/rest-walkthrough.md` works as written: its commands are typed into bash, in one shell, at a served broker."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from broker.processes.redaction import STRUCK
from tests.broker.served import ServedBroker, fake_trainer

ROOT = Path(__file__).resolve().parent.parent
WALKTHROUGH = ROOT / "docs" / "rest-walkthrough.md"
# Its Python is that of the tests: one that pyenv chooses anew each of eighty times takes four times as long.
PATH = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"


@pytest.mark.slow
def test_walkthrough_works_as_written(server_folder: Path) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", WALKTHROUGH.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    script = "set -euo pipefail\n" + "\n".join(blocks)
    broker = ServedBroker(
        server_folder / "var", {"trainer_command": fake_trainer(), "log_level": "debug"}, from_nothing=True
    )
    broker.start()
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env={**os.environ, "PATH": PATH, "URL": broker.url, "VAR": str(broker.data_dir)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        broker.close()
    assert done.returncode == 0, done.stderr + done.stdout
    assert "did you mean lora_rank?" in done.stdout
    assert "'amount': '2600.00'" in done.stdout
    assert "adapter.safetensors" in done.stdout
    check_log(broker)


def check_log(broker: ServedBroker) -> None:
    """Check that the log of all this, at its most talkative, tells what was asked and no secret.

    What has the shape of one is struck out of a line: none of these lines may have come so far.
    """
    told = broker.read_log()
    assert told.count("POST /v1/jobs ") >= 2
    assert re.search(r"dispatched .* job_id=job_\w+ .* run_id=run_\w+", told)
    secrets = [broker.admin_key(), (broker.data_dir / "secret.key").read_text().strip()]
    assert [secret for secret in secrets if secret in told] == []
    assert re.findall(r"lbk_[0-9a-f]{8}_|lbr\.run_|lbs_|whsec_|[Bb]earer \w{8}", told) == []
    assert STRUCK not in told
