"""`python -m benchmarks.gpu`: looks first whether what it imports is there, since the machine may have no network."""

import importlib.util
import sys
import time

NEEDED = {
    "torch": "torch",
    "transformers": "transformers",
    "peft": "peft",
    "safetensors": "safetensors",
    "yaml": "pyyaml",
    "pydantic": "pydantic pydantic-core annotated-types typing-inspection",
    "rich": "rich markdown-it-py mdurl pygments",
    "cachetools": "cachetools",
    "tenacity": "tenacity",
}


def list_missing() -> list[str]:
    """List the packages that are needed and not installed."""
    return [packages for module, packages in NEEDED.items() if importlib.util.find_spec(module) is None]


def main() -> int:
    began = time.monotonic()  # what is imported counts towards the minutes
    if missing := list_missing():
        print(f"not installed: {' '.join(missing)}; docs/trainer.md says how to carry wheels", file=sys.stderr)
        return 2
    from benchmarks.gpu.command import main as measure_rows  # noqa: PLC0415 - imports what may be missing

    return measure_rows(began=began)


if __name__ == "__main__":
    sys.exit(main())
