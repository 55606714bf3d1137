"""Data sets of pictures: what is kept of an upload, and what its report says."""

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from broker.datasets.archive import UploadedFile, open_packed
from broker.datasets.picture_size import PictureUnusable, read_picture_size
from broker.datasets.pictures import parse_pictures
from broker.datasets.service import get_dataset
from broker.quotes.counts.text import count_caption_tokens
from broker.system import System
from pricing.catalog import get_base_model
from tests.broker.factories import Api, jsonl, make_customer
from tests.broker.picture_files import draw_picture, style_files, upload_pictures, zip_as_windows
from trainer.data.images import ImageUnusable, read_size
from trainer.data.quality_samples import list_pictures

SUFFIXES = ["png", "jpg", "gif", "bmp", "tiff", "webp", "avif"]


def write_files(folder: Path, files: dict[str, bytes | str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def as_bytes(files: dict[str, bytes | str]) -> list[tuple[str, bytes]]:
    return [(name, content if isinstance(content, bytes) else content.encode()) for name, content in files.items()]


def as_files(files: dict[str, bytes | str]) -> list[UploadedFile]:
    return [UploadedFile(*file) for file in as_bytes(files)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_is_that_which_the_trainer_sees(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = draw_picture((80, 50), suffix=suffix, **({} if suffix in {"gif", "bmp"} else {"exif": exif}))
    file = tmp_path / f"p.{suffix}"
    file.write_bytes(content)
    assert read_picture_size(io.BytesIO(content)) == read_size(file)


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", draw_picture()[:20], b"<svg width='9' height='9'/>", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40],
)
def test_what_is_no_picture_for_the_trainer_is_none_here(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.png").write_bytes(content)
    with pytest.raises(PictureUnusable):
        read_picture_size(io.BytesIO(content))
    with pytest.raises(ImageUnusable):
        read_size(tmp_path / "p.png")


def test_a_picture_of_too_many_pixels_is_told_with_the_cure() -> None:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 9_000)).save(buffer, "PNG")
    with pytest.raises(PictureUnusable, match=r"is too large .*resize it"):
        read_picture_size(io.BytesIO(buffer.getvalue()))


def test_pictures_and_captions_are_read_in_the_order_of_the_trainer(tmp_path: Path) -> None:
    files = style_files() | {
        "a b/c.png": draw_picture(number=7),
        "a/z.jpg": draw_picture(number=8, suffix="jpg"),
        "a.webp": draw_picture(number=9, suffix="webp"),
        "a/z.txt": "own\nwords",
        "a.caption": "a caption",
        ".hidden.png": b"",
    }
    write_files(tmp_path, files)
    ours = [(picture.name, picture.caption) for picture in parse_pictures(as_files(files)).pictures]
    assert ours == [(sample.name, sample.caption) for sample in list_pictures(tmp_path).samples]
    assert ("a/z.jpg", "own words") in ours


def test_a_picture_whose_row_is_refused_is_counted_once() -> None:
    metadata = "file_name,text\na.png,1girl, solo, long hair\nb.png,a cup\n"
    parsed = parse_pictures(as_files({"a.png": draw_picture(), "b.png": draw_picture(), "metadata.csv": metadata}))
    assert parsed.counts.describe().startswith("2 pictures read: 1 used, 1 refused (1: has more fields")
    assert [(found.file, found.line) for found in parsed.unusable] == [("metadata.csv", 2)]


async def test_an_upload_of_pictures_is_told_as_such(api: Api, system: System) -> None:
    customer = await make_customer(api)
    dataset = await upload_pictures(api, customer["id"], style_files())
    assert (dataset["kind"], dataset["usable_rows"], len(dataset["files"])) == ("images", 7, 8)
    assert {finding["level"] for finding in dataset["findings"]} == {"warning", "hint"}
    assert await api.get(f"/datasets/{dataset['id']}") == dataset
    async with system.work() as work:
        stored = await get_dataset(work, dataset["id"])
    async with stored.tar.borrow(system.services.storage) as packed:
        with open_packed(packed) as files:
            parsed = parse_pictures(files)
    assert [picture.size for picture in parsed.pictures[:3]] == [(96, 96), (128, 72), (72, 128)]
    assert [picture.name for picture in parsed.pictures[3:5]] == ["3.png", "3_red disc/extra.png"]


async def test_the_report_names_each_picture_with_its_cure(api: Api) -> None:
    customer = await make_customer(api)
    good = draw_picture((600, 600), number=1)
    files = {
        "bare.png": draw_picture((512, 512)),
        "broken.png": b"no picture",
        "copy.png": good,
        "empty.jpg": b"",
        "good.png": good,
        "long.png": draw_picture((2000, 513), number=2),
        "small.png": draw_picture((300, 600), number=3),
        "metadata.jsonl": "\n".join(
            f'{{"file_name": "{name}.png", "text": "{text}"}}'
            for name, text in [
                ("good", "a white cup on a table"),
                ("copy", "a cup"),
                ("long", "nice 高级感"),
                ("small", "a tall lamp at night"),
                ("gone", "x"),
            ]
        ),
    }
    dataset = await upload_pictures(api, customer["id"], files)
    found = {(each["file"], each["level"]): each for each in dataset["findings"]}
    said = {place: each["message"] for place, each in found.items()}
    assert "is no picture that can be read" in said["broken.png", "error"]
    assert "0 bytes" in said["empty.jpg", "error"]
    assert "names gone.png, which is not there" in said["metadata.jsonl", "error"]
    assert found["metadata.jsonl", "error"]["line"] == 5
    assert "has no caption" in said["bare.png", "warning"]
    assert "300×600" in said["small.png", "warning"]
    assert "longer than 3 : 1" in said["long.png", "hint"]
    assert "nice, 高级感" in said["long.png", "warning"]
    assert any("is the same file as copy.png" in each["message"] for each in dataset["findings"])
    assert "50 to 200" in said["", "hint"]
    assert dataset["usable_rows"] == 5
    levels = [each["level"] for each in dataset["findings"]]
    assert levels[:3] == ["error"] * 3


async def test_pictures_in_a_tar_or_one_by_one_are_taken_as_well(api: Api) -> None:
    customer = await make_customer(api)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in as_bytes(style_files()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    files = {"files": ("style.tar.gz", buffer.getvalue())}
    form = {"customer_id": customer["id"]}
    packed = (await api.call("POST", "/datasets", files=files, data=form, expect=201)).json()
    plain = [("files", (name, content)) for name, content in as_bytes(style_files()) if "/" not in name]
    single = (await api.call("POST", "/datasets", files=plain, data=form, expect=201)).json()
    assert (packed["usable_rows"], single["usable_rows"]) == (7, 6)


async def test_pictures_of_which_none_can_be_read_are_refused(api: Api) -> None:
    customer = await make_customer(api)
    problem = await upload_pictures(api, customer["id"], {"a.png": b"", "b.jpg": b"x"}, expect=422)
    assert [error["field"] for error in problem["errors"]] == ["files.a.png", "files.b.jpg"]


async def test_text_from_the_data_that_no_database_keeps_becomes_a_finding(api: Api) -> None:
    customer = await make_customer(api)
    lines = ['{"file_name": "a\\u0000.png", "text": "x"}', '{"file_name": "b\\ud800.png", "text": "x"}']
    files = {"p.png": draw_picture(), "metadata.jsonl": "\n".join([*lines, f'{{"file_name": "{"x" * 9000}"}}'])}
    dataset = await upload_pictures(api, customer["id"], files)
    errors = [each for each in dataset["findings"] if each["level"] == "error"]
    assert sorted(each["line"] for each in errors) == [1, 2, 3]
    assert max(len(each["message"]) for each in errors) == 500


async def test_text_beside_pictures_is_not_mistaken_for_rows(api: Api) -> None:
    customer = await make_customer(api)
    dataset = await upload_pictures(api, customer["id"], {"a.png": draw_picture(), "train.jsonl": jsonl().decode()})
    assert (dataset["kind"], dataset["usable_rows"]) == ("images", 1)


async def test_zipped_folder_of_chinese_windows_has_its_captions(api: Api) -> None:
    """Names in GBK became captions in mojibake, which cost more tokens; captions in a folder were lost."""
    customer = await make_customer(api)
    metadata = "file_name,text\r\n" + "".join(f"{number}.png,青花瓷碗 {number}\r\n" for number in range(2))
    files = {f"青花瓷/{number}.png": draw_picture(number=number) for number in range(2)}
    files |= {"10_远山如黛/a.png": draw_picture(number=9), "青花瓷/metadata.csv": metadata.encode("gbk")}
    sent = {"files": ("style.zip", zip_as_windows(files))}
    dataset = (await api.call("POST", "/datasets", files=sent, data={"customer_id": customer["id"]}, expect=201)).json()
    assert {file["name"] for file in dataset["files"]} == set(files)
    said = {(each["file"], each["level"]): each["message"] for each in dataset["findings"]}
    assert "4 names say no encoding and were read as GBK, such as 青花瓷/0.png" in said["style.zip", "hint"]
    assert "was read as GBK" in said["青花瓷/metadata.csv", "hint"]
    body = {"config": {"base_model": "sd-1.5", "resolution": 64, "epochs": 1}, "dataset_id": dataset["id"]}
    quoted = await api.post("/quotes", body, expect=201)
    texts = ["青花瓷碗 0", "青花瓷碗 1"] + ["远山如黛"] * 10
    assert quoted["estimate"]["tokens"] == sum(count_caption_tokens(texts, get_base_model("sd-1.5")))
