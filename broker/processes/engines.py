"""Making the engine that the settings name."""

import os
import shlex

from broker.config import Settings
from broker.errors import OperatorError
from broker.execution.devices import NO_DEVICE, VISIBLE_DEVICES, list_devices
from broker.execution.engine import Engine
from broker.execution.local import LocalEngine
from broker.execution.ray.engine import RayEngine
from broker.execution.ray.jobs_api import JobsApi
from broker.execution.slurm.commands import SlurmCommands
from broker.execution.slurm.engine import SlurmEngine, SlurmPlace


def make_engine(settings: Settings) -> Engine:
    """Make the engine of this process. Raises: OperatorError."""
    match settings.engine:
        case "slurm":
            return make_slurm_engine(settings)
        case "ray":
            return make_ray_engine(settings)
        case "simulated":
            return make_simulated_engine(settings)
        case _:
            return make_local_engine(settings)


def make_local_engine(settings: Settings) -> LocalEngine:
    """Make the engine of this machine. Raises: OperatorError, where it has fewer devices than slots."""
    _check_devices(settings)
    return LocalEngine(
        settings.runs_root,
        slots=settings.local_slots,
        sku=settings.gpu_type,
        command=settings.trainer_argv,
        base_models_dir=settings.models_root,
    )


def make_simulated_engine(settings: Settings) -> LocalEngine:
    """Make the engine of this machine's CPU, whose slots pretend to be GPUs: its runs see none."""
    return LocalEngine(
        settings.runs_root,
        slots=settings.local_slots,
        sku=settings.gpu_type,
        command=settings.trainer_argv,
        base_models_dir=settings.models_root,
        environ={VISIBLE_DEVICES: NO_DEVICE},
    )


def make_slurm_engine(settings: Settings) -> SlurmEngine:
    """Make the engine of the cluster that this machine submits to."""
    place = SlurmPlace(
        partition=settings.slurm_partition,
        account=settings.slurm_account,
        gres=settings.slurm_gres or None,
        options=tuple(shlex.split(settings.slurm_options)),
    )
    return SlurmEngine(
        settings.runs_root,
        sku=settings.gpu_type,
        command=settings.trainer_argv,
        place=place,
        base_models_dir=settings.models_root,
        commands=SlurmCommands(timeout_seconds=settings.engine_answer_seconds),
    )


def make_ray_engine(settings: Settings) -> RayEngine:
    """Make the engine of the Ray cluster whose dashboard is named."""
    assert settings.ray_address is not None, "settings of engine ray name an address"
    return RayEngine(
        settings.runs_root,
        api=JobsApi(settings.ray_address, token=settings.ray_token, timeout_seconds=settings.engine_answer_seconds),
        sku=settings.gpu_type,
        command=settings.trainer_argv,
        resource=settings.ray_resource,
        base_models_dir=settings.models_root,
    )


def _check_devices(settings: Settings) -> None:
    """Check that there is a device for each slot where they are named. Raises: OperatorError."""
    devices = [name for name in list_devices(settings.local_slots, os.environ) if name != NO_DEVICE]
    if devices and len(devices) < settings.local_slots and settings.gpu_type != "cpu":
        raise OperatorError(
            f"BROKER_LOCAL_SLOTS: is {settings.local_slots}, but {VISIBLE_DEVICES} names {len(devices)} devices"
            f" ({', '.join(devices)}); name one for each run at a time, or lower the slots"
        )
