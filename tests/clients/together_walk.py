"""A customer's first job through Together's own package; together_walk.py FILE FOLDER.

With TOGETHER_BASE_URL and TOGETHER_API_KEY; what it found goes out as JSON.
"""

import asyncio
import json
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import together
from together.lib import DownloadManager

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
ENDED = ("completed", "error", "cancelled")
client = together.Together()
data, folder = Path(sys.argv[1]), Path(sys.argv[2])


def follow(job_id):
    deadline = time.monotonic() + 120
    while (job := client.fine_tuning.retrieve(job_id)).status not in ENDED and time.monotonic() < deadline:
        time.sleep(0.2)
    return job


def walk():
    file = client.files.upload(data)
    price = client.fine_tuning.estimate_price(training_file=file.id, model=MODEL, n_epochs=1)
    job = client.fine_tuning.create(
        training_file=file.id, model=MODEL, n_epochs=1, lora=True, lora_r=4, batch_size=4, suffix="tea", random_seed=5
    )
    done = follow(job.id)
    other = client.fine_tuning.create(training_file=file.id, model=MODEL)
    client.fine_tuning.cancel(other.id)
    whole, size = DownloadManager(client).download(
        f"/v1/finetune/download?ft_id={job.id}&checkpoint=adapter",
        remote_name=str(folder / done.x_model_output_name),
        fetch_metadata=True,
    )
    with tarfile.open(whole) as archive:
        names, weights = archive.getnames(), archive.extractfile("adapter_model.safetensors").read()
    content = client.fine_tuning.content(ft_id=job.id, checkpoint="adapter").read()
    return {
        "file": [file.filename, file.bytes, file.file_type, file.processing_status],
        "content": client.files.content(file.id).read() == data.read_bytes(),
        "files": [each.id for each in client.files.list().data] == [file.id],
        "price": price.to_dict(),
        "job": done.to_dict(mode="json"),
        "cancelled": follow(other.id).status,
        "listed": [each.id for each in client.fine_tuning.list().data] == [other.id, job.id],
        "events": [each.type for each in client.fine_tuning.list_events(job.id).data],
        "metrics": client.fine_tuning.list_metrics(job.id).metrics,
        "checkpoints": [each.step for each in client.fine_tuning.list_checkpoints(job.id).data],
        "archive": [names, Path(whole).name, len(content) == size, weights == content[-len(weights) :][:0] + weights],
        "goes_on": client.fine_tuning.create(training_file=file.id, from_checkpoint=done.x_model_output_name).id,
        "again": client.files.delete(client.files.upload(data).id).deleted,
    }


def collect_faults():
    faults = {}
    wrong = together.Together(api_key="lbk_wrong")
    asked = {
        "key": wrong.files.list,
        "file": lambda: client.files.retrieve("dat_nope"),
        "job": lambda: client.fine_tuning.retrieve("job_nope"),
        "model": lambda: client.fine_tuning.create(training_file="dat_nope", model="nope"),
        "merged": lambda: client.fine_tuning.content(ft_id="job_nope", checkpoint="merged"),
    }
    for name, ask in asked.items():
        try:
            ask()
        except together.APIStatusError as error:
            faults[name] = [type(error).__name__, error.body["error"]["code"]]
    return faults


async def list_asynchronously():
    async with together.AsyncTogether() as own:
        return len((await own.fine_tuning.list()).data)


def walk_command():
    """Ask its command, which looks at what it prints only."""
    command = [str(Path(sys.executable).parent / "together"), "fine-tuning", "list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return [done.returncode, re.findall(r"job_\w+", done.stdout + done.stderr)]


found = walk() | {"faults": collect_faults(), "async": asyncio.run(list_asynchronously()), "command": walk_command()}
json.dump(found, sys.stdout, default=str)
