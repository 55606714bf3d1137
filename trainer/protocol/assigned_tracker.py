"""The customer's own tracker, which a run tells besides the broker: MLflow, Weights & Biases or SwanLab.

Its address and key come with the assignment and stay in this process. MLflow is told over HTTP by ourselves, the others
by their own packages; whatever goes wrong there, the training goes on.
"""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pricing.training.config import PATH_KEYS, TrainingConfig
from trainer.errors import BadInput
from trainer.log import write_line
from trainer.protocol.client import RunAssignment, TrackerAccess
from trainer.protocol.mlflow_rest import MlflowRest
from trainer.training.recipe import Observer
from trainer.training.tracker_log import TrackerLog
from trainer.training.trackers import PROJECT, SWANLAB_PROJECT, WANDB_PROJECT, Tracker, require_package

# The devices are the customer's while a tracker is waited for.
LONGEST_END_SECONDS = 10.0
HTTPS_PORT, HTTP_PORT = 443, 80
# What the packages read: all that the machine's own environment says of them would send its keys to a customer.
OF_PACKAGES = ("MLFLOW_", "WANDB_", "SWANLAB_")
Address = IPv4Address | IPv6Address


@contextmanager
def telling_tracker(
    observer: Observer, assignment: RunAssignment, config: TrainingConfig, folder: Path
) -> Iterator[Observer]:
    """Within the block, have the observer with the customer's tracker beside it, where the job names one."""
    access = assignment.tracker
    if access is None:
        yield observer
        return
    if access.kind is None or access.key is None:
        write_line(f"the secret {access.secret} is gone, so that no tracker is told; the training goes on")
        yield observer
        return
    told = config.model_dump(mode="json", exclude=set(PATH_KEYS), exclude_none=True)
    name = f"{assignment.job_id}-{assignment.attempt}"
    opens = lambda: open_tracker(access, name, told, folder)  # noqa: E731 - called in the log's own thread
    with TrackerLog(observer, access.kind, opens, longest_end_seconds=LONGEST_END_SECONDS) as log:
        yield log


def open_tracker(access: TrackerAccess, name: str, config: Mapping[str, Any], folder: Path) -> Tracker:
    """Open a run at the tracker, where its address is one to go to. Raises: BadInput, and whatever it fails by."""
    assert access.kind is not None, "a secret that is gone is told to nobody"
    if access.url is not None:
        check_place(access.url, access.networks)
    if access.kind == "mlflow":
        return MlflowRest.open(access, name, config)
    opens = require_package(access.kind)
    for variable in [each for each in os.environ if each.startswith(OF_PACKAGES)]:
        del os.environ[variable]
    os.environ.update(list_variables(access))
    folder.mkdir(parents=True, exist_ok=True)
    return opens(name, config, folder)


def list_variables(access: TrackerAccess) -> dict[str, str]:
    """List the variables by which a package learns of address, key and project. Pure."""
    project, url = access.project or PROJECT, access.url
    if access.kind == "wandb":
        place = {} if url is None else {"WANDB_BASE_URL": url.rstrip("/")}
        return {"WANDB_API_KEY": access.key or "", WANDB_PROJECT: project, **place}
    place = {} if url is None else {"SWANLAB_API_HOST": f"{url.rstrip('/')}/api", "SWANLAB_WEB_HOST": url.rstrip("/")}
    return {"SWANLAB_API_KEY": access.key or "", SWANLAB_PROJECT: project, **place}


def check_place(url: str, networks: Sequence[str]) -> None:
    """Check all that the name of a tracker leads to: public addresses alone, but for networks that are allowed.

    Without TLS only those. Raises: BadInput.
    """
    parts = urlsplit(url)
    port = parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BadInput("tracker", f"{parts.hostname} leads to no address") from error
    for address in {ip_address(str(place[0]).partition("%")[0]) for *_family, place in found}:
        inner = _find_inner(address)
        allowed = any(each in ip_network(network) for network in networks for each in (address, inner))
        is_public = inner.is_global and not inner.is_multicast
        if not allowed and not (is_public and parts.scheme == "https"):
            raise BadInput("tracker", f"{parts.hostname} leads to {address}, where nothing is told")


def _find_inner(address: Address) -> Address:
    """Find the IPv4 address that one of IPv6 stands for."""
    mapped = None if isinstance(address, IPv4Address) else address.ipv4_mapped or address.sixtofour
    return mapped or address
