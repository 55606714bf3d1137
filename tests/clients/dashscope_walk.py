"""A customer's first job through DashScope's own package, by both generations of its clients, and its command.

dashscope_walk.py FILE    with DASHSCOPE_HTTP_BASE_URL and DASHSCOPE_API_KEY; what it found goes out as JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import dashscope
import httpx
from dashscope.v2.errors import DashScopeError

MODEL = "SmolLM2-135M-Instruct"
HYPER_PARAMETERS = {"n_epochs": 1, "batch_size": 4, "learning_rate": "1.6e-4", "lora_rank": 4}
ENDED = ("SUCCEEDED", "FAILED", "CANCELED")
address, data = os.environ["DASHSCOPE_HTTP_BASE_URL"], sys.argv[1]


def follow(get, wanted=ENDED):
    deadline = time.monotonic() + 120
    while (status := get()) not in wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return status


def walk_first():
    """Walk by the functions of the first generation, which answer with a status and raise nothing."""
    kept = dashscope.Files.upload(data)
    file_id = kept.output["uploaded_files"][0]["file_id"]
    job = dashscope.FineTunes.call(
        model=MODEL, training_file_ids=file_id, mode="efficient_sft", hyper_parameters=HYPER_PARAMETERS
    )
    assert job.status_code == 200, job
    job_id = job.output.job_id
    events = [json.loads(each.output) for each in dashscope.FineTunes.stream_events(job_id)]
    done = dashscope.FineTunes.wait(job_id)
    lines = dashscope.FineTunes.logs(job_id).output
    other = dashscope.FineTunes.call(model=MODEL, training_file_ids=[file_id], finetuned_output="tea")
    cancelled = dashscope.FineTunes.cancel(other.output.job_id)
    follow(lambda: dashscope.FineTunes.get(other.output.job_id).output.status)
    listed = dashscope.FineTunes.list(page_no=1, page_size=1)
    rest = dashscope.FineTunes.list(page_no=2, page_size=1)
    refused = dashscope.FineTunes.call(model=MODEL, training_file_ids=[file_id], mode="dpo_full")
    zh = {"Accept-Language": "zh-CN"}
    return {
        "job": vars(done.output),
        "events": [each["event"] for each in events],
        "messages": [each["message"] for each in events],
        "lines": lines,
        "cancelled": [cancelled.output.status, dashscope.FineTunes.get(other.output.job_id).output.status],
        "listed": [listed.output.total, [each.job_id for each in [*listed.output.jobs, *rest.output.jobs]]],
        "ids": [other.output.job_id, job_id],
        "files": [each["file_id"] for each in dashscope.Files.list().output["files"]] == [file_id],
        "file": dashscope.Files.get(file_id).output["size"] == Path(data).stat().st_size,
        "refused": [refused.status_code, refused.code, refused.message],
        "nowhere": [each := dashscope.FineTunes.get("job_nope"), each.code][1],
        "deleted": dashscope.FineTunes.delete(job_id).code,
        "zh": dashscope.FineTunes.get("job_nope", headers=zh).message,
        "zh_own": dashscope.FineTunes.call(MODEL, file_id, mode="sft", headers=zh).message,
        "wrong_key": dashscope.Files.list(api_key="lbk_wrong").code,
    }


def walk_second():
    """Walk by the client of the second generation, which raises."""
    client = dashscope.Client(base_url=address)
    file = client.files.upload(file_path=data)
    job = client.fine_tunes.create(
        model=MODEL,
        training_file_ids=file.file_id,
        mode="efficient_sft",
        hyper_parameters={"n_epochs": 1, "max_cost": "3.00"},
        finetuned_model="tea",
    )
    done = client.fine_tunes.wait(job, poll_interval=0.2)
    faults = {}
    asked = {
        "job": lambda: client.fine_tunes.get("job_nope"),
        "file": lambda: client.files.get("dat_nope"),
        "key": lambda: client.files.list(api_key="lbk_wrong"),
        "split": lambda: client.fine_tunes.create(
            model=MODEL, training_file_ids=file.file_id, hyper_parameters={"split": 7}
        ),
        "cost": lambda: client.fine_tunes.create(
            model=MODEL, training_file_ids=file.file_id, hyper_parameters={"max_cost": "0.000001"}
        ),
    }
    for name, ask in asked.items():
        try:
            ask()
        except DashScopeError as error:
            faults[name] = [type(error).__name__, error.code]
    return {
        "job": done.model_dump(mode="json", exclude={"headers"}),
        "same_session": client.fine_tunes.create(model=MODEL, training_file_ids=file.file_id).job_id
        == client.fine_tunes.create(model=MODEL, training_file_ids=file.file_id).job_id,
        "logs": client.fine_tunes.logs(job.job_id, lines=1).content,
        "events": [each.output["event"] for each in client.fine_tunes.stream_events(job.job_id)][-1],
        "faults": faults,
        "checkpoints": httpx.get(
            f"{address}/fine-tunes/{job.job_id}/checkpoints",
            headers={"Authorization": f"Bearer {os.environ['DASHSCOPE_API_KEY']}"},
        ).json()["output"],
        "deleted": client.files.delete(client.files.upload(file_path=data, description="twice").file_id).deleted,
        "model": client.models.get(MODEL).model,
        "models": [each.model for each in client.models.list(page_size=100).models],
        "async": asyncio.run(list_asynchronously()),
    }


async def list_asynchronously():
    async with dashscope.AsyncClient(base_url=address) as client:
        return (await client.fine_tunes.list(page_size=100)).total_count


def walk_command():
    """Ask its command, which looks at what it prints only."""
    command = [str(Path(sys.executable).parent / "dashscope"), "fine-tunes", "list"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


json.dump({"first": walk_first(), "second": walk_second(), "command": walk_command()}, sys.stdout)
