"""`make mutate`: change the pure decisions of money in every small way, and see that some test fails each time.

mutmut makes the mutants of the modules that `[tool.mutmut]` in pyproject.toml names, and runs their tests. What
survives is explained in `mutation_survivors.yaml`, by the lines that differ; `results/mutation.json` keeps the
figures. The exit code is 1 where fewer than nine of ten are killed, or a survivor is not explained.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
RESULTS_FILE = ROOT / "benchmarks" / "results" / "mutation.json"
EXPLANATIONS_FILE = ROOT / "benchmarks" / "mutation_survivors.yaml"
LEAST_KILLED = 0.9
KILLED = ("killed", "timeout", "segfault")


def mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def read_outcomes() -> dict[str, str]:
    """Read what became of each mutant, by its name."""
    lines = (line.strip() for line in mutmut("results", "--all", "true").splitlines())
    pairs = (line.rpartition(": ") for line in lines if "__mutmut_" in line)
    return {name: outcome for name, _colon, outcome in pairs}


def read_change(name: str) -> str:
    """Read what a mutant changes: the lines that it takes out, and those that it puts in for them."""
    lines = mutmut("show", name).splitlines()
    changes = [line for line in lines if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"}]
    return " ".join(f"{line[0]} {line[1:].strip()}" for line in changes)


def find_explanation(change: str) -> str | None:
    """Find why a change is none; None where nobody has said."""
    explanations: dict[str, str] = yaml.safe_load(EXPLANATIONS_FILE.read_text(encoding="utf-8"))
    return next((reason for pattern, reason in explanations.items() if re.fullmatch(pattern, change)), None)


def module_of(name: str) -> str:
    return name.partition(".x")[0]


def main() -> int:
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # it remembers which tests there were
    subprocess.run([sys.executable, "-m", "mutmut", "run", *sys.argv[1:]], cwd=ROOT, check=True)
    return record_outcomes()


def record_outcomes() -> int:
    """Write down what became of the mutants; returns the exit code."""
    outcomes = read_outcomes()
    counts = {module: Counter[str]() for module in sorted({module_of(name) for name in outcomes})}
    for name, outcome in outcomes.items():
        counts[module_of(name)]["killed" if outcome in KILLED else outcome] += 1
    changes = {name: read_change(name) for name, outcome in sorted(outcomes.items()) if outcome not in KILLED}
    survivors = [
        {"module": module_of(name), "change": change, "explanation": find_explanation(change)}
        for name, change in changes.items()
    ]
    killed = sum(count["killed"] for count in counts.values()) / len(outcomes)
    record = {"killed": round(killed, 4), "mutants": len(outcomes), "modules": counts, "survivors": survivors}
    RESULTS_FILE.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unexplained = [survivor["change"] for survivor in survivors if survivor["explanation"] is None]
    print(f"{killed:.1%} of {len(outcomes)} mutants are killed (bar {LEAST_KILLED:.0%}); not explained: {unexplained}")
    return int(killed < LEAST_KILLED or bool(unexplained))


if __name__ == "__main__":
    sys.exit(main())
