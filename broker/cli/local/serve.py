"""`broker serve` and `broker worker`."""

from pathlib import Path
from typing import Annotated

import typer

from broker.cli.local.options import DataDir, load_settings
from broker.processes import serve as processes


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (BROKER_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (BROKER_PORT).")] = None,
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer the API (BROKER_WORKERS).")] = None,
) -> None:
    """Migrate, start the embedded PostgreSQL if no other is set, serve, plan and run local workers."""
    processes.serve(load_settings(host=host, port=port, data_dir=data_dir, workers=workers))


def worker(
    data_dir: DataDir = None,
    engine: Annotated[
        str | None, typer.Option(help="What runs the training: local, simulated, slurm or ray (BROKER_ENGINE).")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="Name of the pool that it serves (BROKER_POOL).")] = None,
    gpu_type: Annotated[
        str | None, typer.Option(help="Type of its devices, as the catalogue calls it (BROKER_GPU_TYPE).")
    ] = None,
    slots: Annotated[int | None, typer.Option(help="Runs at one time on this machine (BROKER_LOCAL_SLOTS).")] = None,
    runs_dir: Annotated[
        Path | None, typer.Option(help="Folder that all nodes of the cluster see at this path (BROKER_RUNS_DIR).")
    ] = None,
    slurm_partition: Annotated[str | None, typer.Option(help="Partition of the runs (BROKER_SLURM_PARTITION).")] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="The cluster's dashboard, such as http://head:8265 (BROKER_RAY_ADDRESS).")
    ] = None,
) -> None:
    """Run training on this machine, or on a cluster, for a broker elsewhere that shares its database."""
    processes.work(
        load_settings(
            data_dir=data_dir,
            engine=engine,
            pool=pool,
            gpu_type=gpu_type,
            local_slots=slots,
            runs_dir=runs_dir,
            slurm_partition=slurm_partition,
            ray_address=ray_address,
        )
    )
