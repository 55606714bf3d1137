"""`broker secrets` against a served broker: a key is read from a file or standard input, and never shown."""

import json
from pathlib import Path

from broker.cli.failures import ExitCode
from tests.broker.cli.conftest import Run

KEY = "a-key-that-nobody-sees"


def test_a_key_is_kept_rotated_and_removed_and_no_command_shows_it(customer_run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_text(f"{KEY}\n")
    said = [customer_run("secrets", "set", "wandb-team", "--kind", "wandb", "--key-file", str(file))]
    refused = customer_run("secrets", "set", "tracking", "--kind", "mlflow", "--key-file", str(file))
    assert refused.exit_code == ExitCode.REFUSED
    assert "url: is needed for mlflow" in " ".join(refused.output.split())
    said += [customer_run("secrets", "list"), customer_run("secrets", "list", "--json")]
    headings, row = said[1].stdout.splitlines()[:2]
    assert (headings.split()[:5], row.split()[:3]) == (
        ["secret", "kind", "used", "last", "rotated"],
        ["wandb-team", "wandb", "never"],
    )
    rotated = customer_run("secrets", "rotate", "wandb-team", "--key-file", str(file), "--json")
    assert json.loads(rotated.stdout)["rotated_at"]
    said += [rotated, customer_run("secrets", "remove", "wandb-team")]
    assert [each.exit_code for each in said] == [0] * len(said)
    assert json.loads(customer_run("secrets", "list", "--json").stdout)["data"] == []
    assert KEY not in "".join(each.output for each in [*said, refused])
