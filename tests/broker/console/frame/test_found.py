"""What is found in data is said in Chinese whole: by pages, by the REST API, and so by the command line."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from broker.console.frame.sentences import load_sentences
from broker.datasets.archive import ArchiveRefused, UploadedFile, unpack_uploads
from broker.datasets.findings import DatasetFinding
from broker.datasets.service import check_files
from tests.broker.console.finders import list_found
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, jsonl, make_customer, upload_dataset
from tests.broker.picture_files import draw_picture
from tests.trainer.checking.pictures import blur, write_pictures
from tests.trainer.checking.pictures import draw_picture as draw_sharp
from trainer.checking.image_report import check_images
from trainer.checking.text_report import RowLength, check_text

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}
# Rows of text, each wrong in a way of its own.
ROWS: tuple[object, ...] = (
    {"prompt": "a"},
    {"prompt": "a", "completion": " "},
    {"prompt": 1, "completion": "b"},
    {"prompt": "a", "completion": "b", "input": "c"},
    {"prompt": "a", "completion": "b", "chosen": "c"},
    {"prompt": "a", "completion": "b", "tools": ["c"]},
    {"prompt": "a", "completion": "b", "images": ["c"]},
    {"prompt": "a", "completion": "b", "mask": [1]},
    {"prompt": "a", "completion": "b", "weight": 0},
    {"prompt": "a", "completion": "b", "weight": 0.5},
    {"prompt": "a", "completion": "b", "weight": [1]},
    {"prompt": "a", "completion": "b", "label": "so; so"},
    {"prompt": "a", "completion": "b", "label": False},
    {"prompt": "a", "completion": ["b", "c"]},
    {"prompt": "a", "completion": [{"type": "image_url"}]},
    {"prompt": "a", "completion": [7]},
    {"prompt": "a", "completion": "\ud800"},
    {"prompt": "a", "completion": "b", "history": [1]},
    {"prompt": "a", "completion": "b", "system": "c", "system_prompt": "d"},
    {"instruction": 1, "output": "b"},
    {"messages": []},
    {"messages": [{"role": "user", "content": "a"}], "conversations": [{"from": "gpt", "value": "b"}]},
    {"messages": [{"role": "robot", "content": "a"}]},
    {"messages": [{"role": "user", "content": 1}]},
    {"messages": [{"role": "user", "content": "a", "weight": 1}]},
    {"messages": [{"role": "assistant", "content": "a"}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking": "c"}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]},
    {"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}], "system": "c"},
    {"messages": ["a"]},
    ["no object"],
)
TEXTS: dict[str, bytes] = {
    "rows.jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "broken.jsonl": b'{"a": 1,}\n{"a" 1}\n[1 2]\n"a\n1 2\n"\x01"\n"\\x"\n"\\u12"\n{"prompt": "a", "prompt": "b"}\n',
    "good.jsonl": jsonl(),
    "list.json": b'[{"prompt": "a", "completion": "b"} {"prompt": "a"}]',
    "lines.json": b'{"prompt": "a", "completion": "b"}',
    "more.json": b"[] and more",
    "long.json": b"[\n1,\n{]\n1]\n",
    "fewer.csv": b'prompt,completion\na\na,b,c\nprompt,completion\na,"b"c\na,b\n"a,b\n\0,b\n',
    "twice.csv": b"prompt,prompt\na,b\n",
    "quote.csv": b'"prompt"x,completion\na,b\n',
    "latin.csv": "prompt,completion\ncafé,crème".encode("latin-1"),
    "gbk.csv": "prompt,completion\n问题在这里,回答在这里".encode("gbk"),
    "none.parquet": b"no Parquet",
    "book.xlsx": b"PK",
    "notes.docx": b"x",
    ".hidden.jsonl": jsonl(),
}
PICTURES: dict[str, bytes] = {
    "small.png": draw_picture((100, 200)),
    "long.png": draw_picture((2000, 600)),
    "empty.png": b"",
    "html.png": b"<html>",
    "one.png": draw_picture((600, 600)),
    "two.png": draw_picture((600, 600)),
    "two.txt": b"nice; very nice",
    "three.png": draw_picture((601, 600)),
    "three.txt": "café".encode("latin-1"),
    "alone.txt": b"a caption of nothing that is there",
    "read.me": b"not read",
    ".hidden.png": draw_picture((600, 600)),
    "metadata.csv": b"file_name,text\nsmall.png,beautiful\nsmall.png,again\ngone.png,a lost picture\nlong.png\n",
    "sub/metadata.jsonl": b'{"file_name": "../one.png", "text": 1}\n{"text": "a"}\n[1]\nnot JSON\n'
    b'{"file_name": "three.png", "text": "b", "mask": "m.png"}\n{"file_name": "html.png", "text": "c", "train": 0}\n',
    "sub/METADATA.JSONL": b"",
}
# Names, keys and values of the data, and words that Chinese has none for: what is left beside them was not said.
NAMES = re.compile(
    r"""`[^`]*`|'[^']*'|"[^"]*"|[\w./-]*\.\w+|\\u\w+|\w+_\w+|[\w.]+: ?(?:false|true|selected|0|0\.5)\b"""
)
KNOWN = re.compile(
    r"prompt|completion|input|chosen|tools|images|mask|masks|weight|train|label|history|system|messages|conversations"
    r"|instruction|output|content|role|user|assistant|robot|thinking|text|epochs|token|true|false|beautiful|nice|very"
    r"|JSON|CSV|KTO|DPO|UTF|GBK|Parquet|Pillow|HEIC|JPEG|PNG|NUL|macOS|Windows|ZIP|zip|MiB"
)


def find_english(said: str) -> list[str]:
    return re.findall(r"[A-Za-z]{3,}", KNOWN.sub("", NAMES.sub("", said)))


def check_upload(files: dict[str, bytes]) -> list[DatasetFinding]:
    notes: list[DatasetFinding] = []
    with unpack_uploads([UploadedFile(*each) for each in files.items()], max_bytes=1 << 30, notes=notes) as unpacked:
        return check_files(unpacked, notes, 10_000).report.first


def check_by_trainer(folder: Path) -> Iterator[str]:
    """Find what only a job that checks finds, which opens every picture and counts every row's tokens."""
    pictures = write_pictures(folder / "pictures", 2)
    pictures[0].with_name("again.png").write_bytes(pictures[0].read_bytes())
    Image.open(pictures[0]).resize((700, 612)).save(folder / "pictures/near.png")
    blur(draw_sharp(5)).save(folder / "pictures/blurred.png")
    Image.new("RGB", (600, 600)).save(folder / "pictures/blank.png")
    frames = [draw_sharp(number) for number in (7, 8)]
    frames[0].save(folder / "pictures/frames.gif", save_all=True, append_images=frames[1:])
    (folder / "pictures/damaged.png").write_bytes(pictures[0].read_bytes()[:4000])
    (folder / "pictures/photo.heic").write_bytes(b"no HEIC")
    report = check_images(folder / "pictures", None, lambda caption: 10 * len(caption.split()))
    yield from (f"{each.message}; {each.cure}" for each in report.findings)
    yield from (f"{each.message}; {each.cure}" for each in check_images(folder / "none").findings)
    texts = folder / "texts"
    texts.mkdir()
    same = [{"prompt": "a b", "completion": "c"}, {"prompt": "A  b", "completion": "c"}]
    (texts / "rows.jsonl").write_bytes(jsonl([*same, {"prompt": "问题", "completion": "回答"}, *({"text": "d"},) * 9]))
    (texts / "empty.jsonl").write_bytes(b"")
    lengths = iter([RowLength(600, 600), RowLength(600, 10), *[RowLength(5, 1)] * 20])
    for report in (check_text(texts, None, lambda _row: next(lengths)), check_text(folder / "none")):
        yield from (f"{each.message}; {each.cure}" for each in report.findings)


def zip_files(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_each_finding_of_text_pictures_and_archives_is_said_in_chinese_whole(tmp_path: Path) -> None:
    say = load_sentences("zh").say
    archive = {"a.jsonl": jsonl(), "A.jsonl": jsonl(), "Thumbs.db": b"x", "inner.zip": zip_files({"a": b"b"})}
    told = [
        each.message for files in (TEXTS, PICTURES, {"data.zip": zip_files(archive)}) for each in check_upload(files)
    ]
    told += check_by_trainer(tmp_path)
    assert len({*told}) > 90, "each is wrong in a way of its own"
    assert {each: say(each) for each in told if find_english(say(each)) or say(each) == each} == {}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"../a.jsonl": b"x"}, "超出了数据集的文件夹"),
        ({"a.zip": b"PK\x03\x04 no zip"}, "无法解压"),
        ({"a.7z": b"7z\xbc\xaf\x27\x1c"}, "在此无法解压"),
    ],
)
def test_an_archive_is_refused_in_chinese(files: dict[str, bytes], said: str) -> None:
    with pytest.raises(ArchiveRefused) as refused:
        check_upload(files)
    assert said in load_sentences("zh").say(str(refused.value))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("no connection: its name leads to no address", "无法连接：域名无法解析"),
        ("it answered 400: another base model", "返回 400：another base model"),
        (
            "its token is sealed by another secret of the installation; name it anew",
            "其令牌由另一个安装密钥加密；请重新填写",
        ),
    ],
)
def test_what_a_server_answered_to_a_push_is_said_in_chinese(told: str, said: str) -> None:
    assert load_sentences("zh").say(told) == said


def test_what_finders_say_is_found_in_their_code() -> None:
    assert {"is of one colour", "delete it", "has {1} tokens", "is a link, which is not followed"} <= {*list_found()}


async def test_a_data_set_is_told_in_the_language_of_its_reader(api: Api) -> None:
    """In the answer, in a refusal that names what is wrong with it, and on its page; English stays what it was."""
    customer = await make_customer(api)
    rows = jsonl([{"prompt": "a"}, {"prompt": "a", "completion": "b; c"}])
    made = await upload_dataset(api, customer["id"], content=rows)
    assert made["findings"][0]["message"].startswith("prompt and completion are both needed")
    answer = await api.call("GET", f"/datasets/{made['id']}", expect=200, headers=CHINESE)
    told = answer.json()
    assert (answer.headers["content-language"], answer.headers["vary"]) == ("zh-CN", "Accept-Language")
    assert told["findings"][0]["message"].startswith("需要文本形式的 prompt 和 completion（每行有")
    assert told["row_counts"]["line"].startswith("读取行数 2：采用 1，拒绝 1（1: 需要文本形式的")
    assert told["row_counts"]["refused_because"][0]["reason"].startswith("需要文本形式的")
    assert await api.get(f"/datasets/{made['id']}") == made
    refused = await api.call("GET", "/datasets/ds_none", expect=404, headers=CHINESE)
    assert (refused.headers["content-language"], refused.headers["vary"]) == ("zh-CN", "Accept-Language")
    async with sign_in_customer(api, customer["id"], language="zh") as person:
        page = await person.open(f"/console/datasets/{made['id']}")
        assert "需要文本形式的 prompt 和 completion（每行有" in page.text
        assert "both needed" not in page.text
