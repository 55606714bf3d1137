"""Data sets over the API: what is kept of an upload, and what its report says."""

import asyncio
import hashlib
import io
import json
import zipfile

from broker.datasets.service import get_dataset
from broker.retention.service import sweep
from broker.system import System
from pricing.datasets.text_rows import TextRow, parse_text_files
from tests.broker.factories import ROWS, Api, customer_api, jsonl, make_customer, upload_dataset
from tests.broker.packed_files import read_packed

BAD_ROWS = b'{"prompt": "only a prompt"}\n{"prompt": "a", "completion": ""}\nnot json\n'


async def test_upload_is_kept_as_one_tar_whose_sum_is_told(api: Api, system: System) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"])
    stored = list((system.services.settings.data_dir / "objects").rglob("*.tar"))
    assert len(stored) == 1
    content = stored[0].read_bytes()
    assert (dataset["sha256"], dataset["size_bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert read_packed(content) == [("train.jsonl", jsonl())]
    assert dataset["files"] == [{"name": "train.jsonl", "size_bytes": len(jsonl())}]
    assert (dataset["usable_rows"], dataset["findings"], dataset["name"]) == (len(ROWS), [], "train.jsonl")
    assert await api.get(f"/datasets/{dataset['id']}") == dataset


async def test_rows_that_are_left_out_are_reported_with_their_line(api: Api) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"], content=BAD_ROWS + jsonl(ROWS[:2]))
    assert dataset["usable_rows"] == 2
    assert [(finding["file"], finding["line"]) for finding in dataset["findings"]] == [
        ("train.jsonl", 1),
        ("train.jsonl", 2),
        ("train.jsonl", 3),
    ]


async def test_report_holds_the_first_two_hundred_findings(api: Api) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"], content=b"bad\n" * 300 + jsonl())
    assert len(dataset["findings"]) == 200


async def test_rows_are_read_again_as_they_were_counted(api: Api, system: System) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"], content=BAD_ROWS + jsonl())
    async with system.work() as work:
        stored = await get_dataset(work, dataset["id"])
    rows = parse_text_files(read_packed(await system.services.storage.read(stored.storage_key))).rows
    assert rows == [TextRow(row["prompt"], row["completion"]) for row in ROWS]


async def test_zip_with_folders_and_csv_is_one_data_set(api: Api) -> None:
    customer = await make_customer(api)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data/one.jsonl", jsonl(ROWS[:3]))
        archive.writestr("data/two.csv", 'prompt,completion\n提示,"茶, 春天"\n')
        archive.writestr("README.md", "# about")
    async with customer_api(api, customer["id"]) as own:
        response = await own.call("POST", "/datasets", expect=201, files={"files": ("brand.zip", buffer.getvalue())})
    dataset = response.json()
    assert [file["name"] for file in dataset["files"]] == ["README.md", "data/one.jsonl", "data/two.csv"]
    assert (dataset["usable_rows"], dataset["name"]) == (4, "brand.zip")


async def test_file_that_is_not_read_is_told(api: Api) -> None:
    """A table of Excel beside the rows was left out without a word."""
    customer = await make_customer(api)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("rows.jsonl", jsonl())
        archive.writestr("more.xlsx", b"PK")
        archive.writestr("more.orc", b"ORC")
    files = {"files": ("data.zip", buffer.getvalue())}
    data = {"customer_id": customer["id"]}
    dataset = (await api.call("POST", "/datasets", expect=201, files=files, data=data)).json()
    told = [(finding["file"], finding["level"]) for finding in dataset["findings"]]
    assert told == [("more.orc", "warning"), ("more.xlsx", "warning")]
    assert "is not read; save its rows as .jsonl" in dataset["findings"][0]["message"]


async def test_same_rows_in_any_order_of_files_are_the_same_bytes(api: Api) -> None:
    customer = await make_customer(api)
    files = [("files", ("a.jsonl", jsonl(ROWS[:2]))), ("files", ("b.jsonl", jsonl(ROWS[2:])))]
    async with customer_api(api, customer["id"]) as own:
        one = (await own.call("POST", "/datasets", expect=201, files=files)).json()
        two = (await own.call("POST", "/datasets", expect=201, files=files[::-1], data={"name": "tea"})).json()
    assert one["sha256"] == two["sha256"]
    assert (one["id"] != two["id"], two["name"]) == (True, "tea")


async def test_same_bytes_are_stored_once_until_the_last_data_set_of_them_is_deleted(api: Api, system: System) -> None:
    customer = await make_customer(api)
    one = await upload_dataset(api, customer["id"])
    two = await upload_dataset(api, customer["id"], name="again")
    (stored,) = (system.services.settings.data_dir / "objects").rglob("*.tar")
    async with customer_api(api, customer["id"]) as own:
        await own.call("DELETE", f"/datasets/{one['id']}", expect=204)
        await sweep(system)
        found = await own.call("GET", f"/datasets/{two['id']}/file", params={"name": "train.jsonl"}, expect=200)
        assert found.content == jsonl()
        await own.call("DELETE", f"/datasets/{two['id']}", expect=204)
    await sweep(system)
    assert not stored.exists()
    three = await upload_dataset(api, customer["id"])
    assert three["sha256"] == one["sha256"]
    assert len(list((system.services.settings.data_dir / "objects").rglob("*.tar"))) == 1


async def test_uploads_of_the_same_bytes_at_once_leave_one_file(api: Api, system: System) -> None:
    customer = await make_customer(api)
    made = await asyncio.gather(*(upload_dataset(api, customer["id"]) for _ in range(4)))
    assert len({each["id"] for each in made}) == 4
    assert len(list((system.services.settings.data_dir / "objects").rglob("*.tar"))) == 1


async def test_refused_upload_leaves_no_file(api: Api, system: System) -> None:
    customer = await make_customer(api)
    files = {"files": ("train.jsonl", BAD_ROWS)}
    response = await api.call("POST", "/datasets", files=files, data={"customer_id": customer["id"]}, expect=422)
    named = [error["field"] for error in response.json()["errors"]]
    assert named == [f"files.train.jsonl:{line}" for line in (1, 2, 3)]
    assert list((system.services.settings.data_dir / "objects").rglob("*.tar*")) == []


async def test_two_customers_with_the_same_bytes_have_a_file_each(api: Api, system: System) -> None:
    for _ in range(2):
        await upload_dataset(api, (await make_customer(api))["id"])
    assert len(list((system.services.settings.data_dir / "objects").rglob("*.tar"))) == 2


async def test_half_a_surrogate_pair_in_a_row_is_a_finding(api: Api) -> None:
    customer = await make_customer(api)
    bad = json.dumps({"prompt": "\ud800", "completion": "x"}).encode()
    dataset = await upload_dataset(api, customer["id"], content=bad + b"\n" + jsonl())
    assert [finding["line"] for finding in dataset["findings"]] == [1]


async def test_every_row_is_counted_by_what_became_of_it(api: Api) -> None:
    """The bad answers of a KTO set were learnt as good ones, and half of its rows vanished without a number."""
    customer = await make_customer(api)
    rows = [{"prompt": "a", "completion": "b", "label": number % 2 == 0} for number in range(300)]
    rows += [{"prompt": "a", "completion": "b", "weight": 0}, {"prompt": "a"}]
    files = [
        ("files", ("kto.jsonl", jsonl(rows))),
        ("files", (".ipynb_checkpoints/kto.jsonl", jsonl(rows))),
        ("files", ("more.csv", b"prompt;completion\r\na;b, c\r\nd;e;f\r\n")),
    ]
    data = {"customer_id": customer["id"]}
    dataset = (await api.call("POST", "/datasets", expect=201, files=files, data=data)).json()
    counts = dataset["row_counts"]
    assert {key: counts[key] for key in ("read", "used", "refused", "set_aside", "too_long", "cut")} == {
        "read": 304, "used": 151, "refused": 152, "set_aside": 1, "too_long": 0, "cut": 0,
    }  # fmt: skip
    assert counts["refused_because"][0]["rows"] == 150
    assert counts["line"].startswith("304 rows read: 151 used, 152 refused (150: label: false says")
    assert dataset["usable_rows"] == 151
    assert ("hint", ".ipynb_checkpoints/kto.jsonl") in {(each["level"], each["file"]) for each in dataset["findings"]}
    again = (await api.call("GET", f"/datasets/{dataset['id']}", expect=200)).json()
    assert again["row_counts"] == counts
