"""`make soak`: the soak by default, or one proof by its name; figures are printed and kept in benchmarks/results/.

make soak ARGS='--minutes 30'               everything at once, with kill -9 (five minutes by default)
make soak ARGS='--kills 50 --seed 7'        until so many kills
make soak ARGS='--proof admissions'         or crash-points, leaders, fuzz; --count for another size
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from tests.soak.admissions import prove_admissions
from tests.soak.crash_points import prove_crash_points
from tests.soak.fuzz import prove_fuzz
from tests.soak.leaders import prove_leaders
from tests.soak.soak import SoakPlan, run_soak

RESULTS = Path("benchmarks/results/soak.json")
Proof = Callable[[int, int | None], dict[str, Any]]


PROOFS: dict[str, Proof] = {
    "admissions": prove_admissions,
    "crash-points": prove_crash_points,
    "fuzz": prove_fuzz,
    "leaders": prove_leaders,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak", description="Prove what docs/reliability.md says.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the soak lasts")
    parser.add_argument("--kills", type=int, help="end the killing after so many, however long it takes")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="repeats the same choices")
    parser.add_argument("--proof", choices=sorted(PROOFS), help="run this proof instead of the soak")
    parser.add_argument("--count", type=int, help="the size of the proof, instead of the one of docs/reliability.md")
    asked = parser.parse_args()
    began = time.monotonic()
    sys.stdout.write(f"seed {asked.seed}\n")
    if asked.proof is None:
        name = "soak" if asked.kills is None else "kills"
        figures = run_soak(SoakPlan(asked.minutes * 60, asked.seed, asked.kills))
    else:
        name, figures = asked.proof, PROOFS[asked.proof](asked.seed, asked.count)
    keep(name, {"seed": asked.seed, **figures, "took_seconds": round(time.monotonic() - began)})


def keep(name: str, figures: dict[str, Any]) -> None:
    """Print the figures, and put them beside those of the other proofs."""
    commit = subprocess.run(["git", "rev-parse", "--short=8", "HEAD"], capture_output=True, text=True, check=False)
    told = {"at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "commit": commit.stdout.strip()}
    told |= {"machine": describe_machine(), **figures}
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**kept, name: told}, indent=2, sort_keys=True) + "\n")
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
