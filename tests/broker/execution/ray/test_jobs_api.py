"""What a failing cluster means, and what to do: a small server stands in for the dashboard."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from broker.execution.engine import EngineUnreachable
from broker.execution.ray.jobs_api import JobsApi, SubmissionRefused

EXISTS = "ValueError: Job with submission_id run_1 already exists. Please use a different submission_id.\n."


@asynccontextmanager
async def dashboard(status: int, body: str, asked: list[bytes]):
    """Answer every request alike, and keep what was asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(65_536))
        content = body.encode()
        writer.write(
            b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(content)) + content
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    api = JobsApi(f"http://127.0.0.1:{port}", token="t0ken", timeout_seconds=10)
    try:
        yield api
    finally:
        await api.close()
        server.close()
        await server.wait_closed()


@pytest.fixture
def asked():
    return []


async def test_cluster_that_does_not_answer_is_told_with_setting_and_cure():
    api = JobsApi("http://127.0.0.1:9", timeout_seconds=5)
    with pytest.raises(EngineUnreachable, match=r"BROKER_RAY_ADDRESS: .*1:9 does not answer.*ray start --head"):
        await api.list_nodes()
    await api.close()


async def test_token_is_sent_and_where_it_is_refused_the_cure_names_its_setting(asked):
    async with dashboard(401, "Unauthorized", asked) as api:
        with pytest.raises(EngineUnreachable, match="BROKER_RAY_TOKEN"):
            await api.find_job("run_1")
    assert b"authorization: bearer t0ken" in asked[0].lower()


@pytest.mark.parametrize(("status", "body"), [(500, f"Traceback\n{EXISTS}"), (200, '{"submission_id": "run_1"}')])
async def test_submission_that_is_there_already_is_left_as_it_is(asked, status, body):
    async with dashboard(status, body, asked) as api:
        await api.submit("run_1", "exec sh run.sh", {"entrypoint_num_gpus": 2})
    sent = json.loads(asked[0].split(b"\r\n\r\n", 1)[1] or b"{}")
    assert sent == {"submission_id": "run_1", "entrypoint": "exec sh run.sh", "entrypoint_num_gpus": 2}


async def test_refusal_is_told_from_a_failure_that_may_pass(asked):
    async with dashboard(400, "Traceback\nValueError: bad label selector", asked) as api:
        with pytest.raises(SubmissionRefused, match="ValueError: bad label selector"):
            await api.submit("run_1", "exec sh run.sh", {})
    wrapped = "RuntimeError: Request failed with status code 400: Traceback\nValueError: bad label selector\n."
    async with dashboard(500, wrapped, asked) as api:
        with pytest.raises(SubmissionRefused, match="ValueError: bad label selector"):
            await api.submit("run_1", "exec sh run.sh", {})
    async with dashboard(503, "No agent", asked) as api:
        with pytest.raises(EngineUnreachable, match="503: No agent"):
            await api.submit("run_1", "exec sh run.sh", {})


async def test_job_that_the_cluster_does_not_know_is_none(asked):
    async with dashboard(404, "Job run_1 does not exist", asked) as api:
        assert await api.find_job("run_1") is None
        await api.stop_job("run_1")


async def test_job_of_an_unknown_shape_is_an_unreachable_cluster(asked):
    async with dashboard(200, '{"state": "done"}', asked) as api:
        with pytest.raises(EngineUnreachable, match="dashboard of Ray"):
            await api.find_job("run_1")


async def test_page_that_is_no_ray_is_told_as_such(asked):
    async with dashboard(200, "<html>", asked) as api:
        with pytest.raises(EngineUnreachable, match="dashboard of Ray"):
            await api.list_nodes()
