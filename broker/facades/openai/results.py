"""The result file of a job: its losses by step, as CSV."""

import csv
import io

from broker.facades.asking import Broker, require_name
from broker.facades.openai.objects import RESULTS, count_seconds

HEAD = ("step", "train_loss", "valid_loss")


async def write_results(broker: Broker, file_id: str) -> tuple[bytes, int]:
    """Write the losses of a job; returns them with the second at which it ended or began. Raises: Refused."""
    job_id = require_name(file_id.removeprefix(RESULTS))
    job = await broker.get(f"/jobs/{job_id}")
    rows = (await broker.get(f"/jobs/{job_id}/losses"))["data"]
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(HEAD)
    writer.writerows((row["step"], row["mean"], row["validation"]) for row in rows)
    return written.getvalue().encode(), count_seconds(job["finished_at"] or job["created_at"]) or 0
