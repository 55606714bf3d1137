"""`broker jobs download`."""

from broker.cli.failures import CommandFailed
from broker.cli.remote.adapters import Force, Output, fetch_adapter
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId


def download_adapter_of_job(
    job_id: JobId,
    output: Output = None,
    force: Force = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Download the adapter that a job has made, as one .safetensors file."""
    with connect(url, key) as client:
        job = client.get_job(resolve_id(client, "job", job_id))
        if job["adapter_id"] is None:
            told = f"{job['id']} is {job['status']}; a job has an adapter once it has succeeded"
            raise CommandFailed(told, job_id=job["id"], status=job["status"])
        fetch_adapter(client, job["adapter_id"], output, force=force, as_json=as_json)
