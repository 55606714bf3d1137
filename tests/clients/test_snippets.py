"""The pages for users of other clients work as written: what they tell to type is typed, by the client itself."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from broker.client.rest import Client
from tests.broker.factories import SIGNED_AT, jsonl
from tests.broker.served import ServedBroker
from tests.clients.conftest import FOLDER, Buyer, Trained

DOCS = Path(__file__).resolve().parents[2] / "docs"
ADDRESS, KEY = "http://127.0.0.1:8000", "lbk_…"
BLOCK = r"^```{language}\n(.*?)^```$"


def read_snippet(page: str, language: str = "python") -> str:
    """Read the one block of a language on a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (snippet,) = re.findall(BLOCK.format(language=language), text, re.MULTILINE | re.DOTALL)
    return snippet  # type: ignore[no-any-return]


def type_snippet(folder: Path, command: list[Path | str], snippet: str, **environment: str) -> str:
    """Type a snippet in a folder that has the reader's file; returns what it wrote."""
    (folder / "train.jsonl").write_bytes(jsonl())
    done = subprocess.run(
        [*map(str, command), snippet],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def reader(broker: ServedBroker) -> Client:
    """Sign a customer whose key has no bound of its own: what a job may cost is in what is typed."""
    with Client(broker.url, broker.admin_key()) as admin:
        customer = admin.post("/customers", {"name": f"Reader {os.urandom(4).hex()}"})["id"]
        admin.post("/contracts", {"customer_id": customer, "plan": "on_demand", "starts_at": SIGNED_AT})
        return Client(broker.url, admin.post(f"/customers/{customer}/api-keys", {"name": "reader"})["key"])


def fill_in(snippet: str, url: str, key: str) -> str:
    assert ADDRESS in snippet
    assert KEY in snippet
    return snippet.replace(ADDRESS, url).replace(KEY, key)


@pytest.mark.parametrize(
    ("page", "group", "config"),
    [
        ("openai.md", "openai", {"lora_rank": 16, "epochs": 2}),
        ("dashscope.md", "dashscope", {"lora_rank": 16, "epochs": 2}),
        ("together.md", "together", {"lora_rank": 16}),
    ],
)
def test_the_first_job_of_a_page_is_ordered(
    reader: Client, buyer: Buyer, tmp_path: Path, page: str, group: str, config: dict[str, int]
) -> None:
    python = FOLDER / group / "bin" / "python"
    if not python.exists():
        pytest.skip(f"the {group} package is not installed here")
    own = buyer.client if group == "together" else reader  # Together's can say no bound: the key has one, as told there
    with own:
        type_snippet(tmp_path, [python, "-c"], fill_in(read_snippet(page), own.url, own.api_key))
        (job,) = own.get("/jobs")["data"]
        assert {name: job["config"][name] for name in config} == config


@pytest.mark.skipif(not (FOLDER / "openai-node/node_modules").exists(), reason="the openai package of Node is not here")
def test_the_same_job_is_ordered_from_node(reader: Client, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to((FOLDER / "openai-node/node_modules").resolve())
    snippet = fill_in(read_snippet("openai.md", "js"), reader.url, reader.api_key)
    with reader:
        type_snippet(tmp_path, ["node", "--input-type=module", "-e"], snippet)
        (job,) = reader.get("/jobs")["data"]
        assert (job["config"]["lora_rank"], job["limit"]["amount"]) == (16, "38.20")


def test_the_second_generation_of_dashscope_is_opened_as_its_page_says(reader: Client, tmp_path: Path) -> None:
    python = FOLDER / "dashscope" / "bin" / "python"
    if not python.exists():
        pytest.skip("the dashscope package is not installed here")
    (opened,) = re.findall(r"`(dashscope\.Client\(.*?\))`", (DOCS / "dashscope.md").read_text(encoding="utf-8"))
    snippet = f"import dashscope\nprint(len({opened.replace(ADDRESS, reader.url)}.fine_tunes.list().jobs))"
    with reader:
        assert type_snippet(tmp_path, [python, "-c"], snippet, DASHSCOPE_API_KEY=reader.api_key).strip() == "0"


def test_a_file_is_sent_by_tus_and_by_curl(reader: Client, tmp_path: Path) -> None:
    python = FOLDER / "uploads" / "bin" / "python"
    if not python.exists():
        pytest.skip("tuspy is not installed here")
    (tmp_path / "style.zip").write_bytes(jsonl())
    told = f"key = '{reader.api_key}'\n" + read_snippet("uploads.md").replace("https://broker.example.com", reader.url)
    with reader:
        upload_id = type_snippet(tmp_path, [python, "-c"], f"{told}\nprint(upload_id)").strip()
        assert reader.get(f"/uploads/{upload_id}")["received_bytes"] == len(jsonl())
        (tmp_path / "style.zip").rename(tmp_path / "rows.jsonl")
        command = read_snippet("uploads.md", "bash").replace("style.zip", "rows.jsonl")
        type_snippet(tmp_path, ["bash", "-c"], command, KEY=reader.api_key, BROKER=reader.url)
        assert [each["name"] for each in reader.get("/datasets")["data"]] == ["autumn style"]


def test_an_adapter_is_downloaded_by_the_hubs_own_command(trained: Trained, tmp_path: Path) -> None:
    commands = fill_in(read_snippet("hugging-face.md", ""), trained.broker.url, trained.key)
    for there, here in (("cyberpunk", trained.adapter["name"]), ("v3", "v1"), ("hf download", "hf download --quiet")):
        assert there in commands
        commands = commands.replace(there, here)
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    told = type_snippet(tmp_path, ["bash", "-euc"], commands, HF_HOME=str(tmp_path / "home"), PATH=path).split()
    assert len({*told}) == 1, "v1 is the newest"
    weights = Path(told[0]) / "adapter_model.safetensors"
    assert weights.stat().st_size == trained.adapter["size_bytes"]
