"""MLflow's REST API, as far as a run tells it: an experiment, a run in it, its parameters, numbers by step, its end.

Source: https://mlflow.org/docs/latest/rest-api.html. The package takes address and key from the environment alone and
follows redirects; here the key goes to the address that was checked, and nowhere else.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx2

from trainer.errors import BadInput
from trainer.protocol.client import TrackerAccess
from trainer.training.trackers import PROJECT, Entry, HowEnded

TIMEOUT = httpx2.Timeout(10.0)
NOT_FOUND = 404
LONGEST_PARAMETER = 500  # what every version takes
MOST_PARAMETERS, MOST_METRICS = 100, 1000


class MlflowRest:
    """A run at MLflow's server."""

    def __init__(self, http: httpx2.Client, run_id: str) -> None:
        self._http, self._run_id = http, run_id

    @classmethod
    def open(cls, access: TrackerAccess, name: str, config: Mapping[str, Any]) -> Self:
        """Create a run in the experiment, which is created if need be. Raises: BadInput, httpx2.HTTPError."""
        assert access.url is not None, "the broker keeps no MLflow without its address"
        key = access.key or ""
        auth = None if access.username is None else httpx2.BasicAuth(access.username, key)
        headers = {"Authorization": f"Bearer {key}"} if auth is None else {}
        http = httpx2.Client(
            base_url=f"{access.url.rstrip('/')}/api/2.0/mlflow/",
            headers=headers,
            auth=auth,
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
        )
        experiment = find_or_create_experiment(http, access.project or PROJECT)
        made = ask(http, "runs/create", {"experiment_id": experiment, "run_name": name, "start_time": _now()})
        run = cls(http, str(made["run"]["info"]["run_id"]))
        told = [{"key": param, "value": str(value)[:LONGEST_PARAMETER]} for param, value in config.items()]
        for first in range(0, len(told), MOST_PARAMETERS):
            run.log(params=told[first : first + MOST_PARAMETERS])
        return run

    def log(self, **what: Sequence[Mapping[str, Any]]) -> None:
        ask(self._http, "runs/log-batch", {"run_id": self._run_id, **what})

    def tell(self, entries: Sequence[Entry]) -> None:
        now = _now()
        numbers = [
            {"key": name, "value": value, "timestamp": now, "step": step}
            for values, step in entries
            for name, value in values.items()
        ]
        for first in range(0, len(numbers), MOST_METRICS):
            self.log(metrics=numbers[first : first + MOST_METRICS])

    def end(self, how: HowEnded, why: str) -> None:
        if why:
            ask(self._http, "runs/set-tag", {"run_id": self._run_id, "key": "error", "value": why})
        ask(self._http, "runs/update", {"run_id": self._run_id, "status": how.value, "end_time": _now()})
        self._http.close()


def _now() -> int:
    return int(time.time() * 1000)


def find_or_create_experiment(http: httpx2.Client, name: str) -> str:
    """Find the experiment of a name, or create it; its id. Raises: BadInput, httpx2.HTTPError."""
    found = http.get("experiments/get-by-name", params={"experiment_name": name})
    if found.status_code == NOT_FOUND:
        return str(ask(http, "experiments/create", {"name": name})["experiment_id"])
    return str(read(found)["experiment"]["experiment_id"])


def ask(http: httpx2.Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the server. Raises: BadInput, for an answer that is none; httpx2.HTTPError."""
    return read(http.post(path, json=dict(body)))


def read(response: httpx2.Response) -> dict[str, Any]:
    """Read an answer. Raises: BadInput, with its status alone: what it says may quote what it was sent."""
    if not response.is_success:
        raise BadInput("tracker", f"{response.request.url.path} was answered with {response.status_code}")
    try:
        document = response.json()
    except ValueError as error:
        raise BadInput("tracker", f"{response.request.url.path} was answered with no JSON") from error
    return document if isinstance(document, dict) else {}
