"""A customer's first job, through OpenAI's own client for Python; run by its own virtual environment.

openai_walk.py ADDRESS    with the key in OPENAI_API_KEY; what it found goes to standard output as JSON.
"""

import asyncio
import json
import sys
import time

import openai
from openai.types.fine_tuning import FineTuningJob

ROWS = b"\n".join(
    json.dumps(
        {"messages": [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": f"Cup {n}."}]}
    ).encode()
    for n in range(8)
)
MODEL = "smollm2-135m-instruct"
ENDED = ("succeeded", "failed", "cancelled")
HYPERPARAMETERS = {"n_epochs": 1, "batch_size": 4}


def follow(client: openai.OpenAI, job_id: str) -> FineTuningJob:
    deadline = time.monotonic() + 120
    while (job := client.fine_tuning.jobs.retrieve(job_id)).status not in ENDED and time.monotonic() < deadline:
        time.sleep(0.2)
    return job


def walk(client: openai.OpenAI) -> dict[str, object]:
    file = client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
    method = {"type": "supervised", "supervised": {"hyperparameters": HYPERPARAMETERS}}
    job = client.fine_tuning.jobs.create(
        model=MODEL, training_file=file.id, suffix="tea", method=method, metadata={"team": "search"}, seed=5
    )
    job = follow(client, job.id)
    other = client.fine_tuning.jobs.create(
        model=MODEL, training_file=file.id, extra_body={"lora": {"rank": 4, "max_cost": "3.00"}}
    )
    client.fine_tuning.jobs.cancel(other.id)
    return {
        "content": client.files.content(file.id).read() == ROWS,
        "files": [each.id for each in client.files.list()] == [file.id],
        "job": job.to_dict(),
        "results": client.files.content(job.result_files[0]).read().decode(),
        "events": [each.message for each in client.fine_tuning.jobs.list_events(job.id, limit=2)],
        "checkpoints": [each.step_number for each in client.fine_tuning.jobs.checkpoints.list(job.id)],
        "model": client.models.retrieve(job.fine_tuned_model).id,
        "models": [each.id for each in client.models.list()],
        "jobs": [each.id for each in client.fine_tuning.jobs.list(limit=1)] == [other.id, job.id],
        "cancelled": follow(client, other.id).status,
    }


def collect_faults(client: openai.OpenAI) -> dict[str, list[object]]:
    """Collect how what is refused comes back: the class of the error, its field and its code."""
    faults: dict[str, list[object]] = {}
    wrong = openai.OpenAI(api_key="lbk_wrong", base_url=client.base_url)
    asked = {
        "key": wrong.files.list,
        "file": lambda: client.files.retrieve("dat_nope"),
        "purpose": lambda: client.files.create(file=("a.jsonl", ROWS), purpose="assistants"),
        "model": lambda: client.fine_tuning.jobs.create(model="nope", training_file="dat_nope"),
        "method": lambda: client.fine_tuning.jobs.create(model=MODEL, training_file="x", method={"type": "dpo"}),
    }
    for name, ask in asked.items():
        try:
            ask()
        except openai.APIStatusError as error:
            faults[name] = [type(error).__name__, error.param, error.code]
    return faults


async def list_asynchronously(client: openai.AsyncOpenAI) -> int:
    return len([each async for each in client.fine_tuning.jobs.list(limit=1)])


address = sys.argv[1]
client = openai.OpenAI(base_url=address)
found = walk(client) | {"faults": collect_faults(client)}
found["async"] = asyncio.run(list_asynchronously(openai.AsyncOpenAI(base_url=address)))
json.dump(found, sys.stdout)
