"""Inputs that nobody would send, made from a seed: configurations, archives and pictures, and damage done to bytes."""

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Sequence
from typing import Any, get_args

from pricing.training.config import TrainingConfig
from tests.broker.factories import CONFIG, jsonl
from tests.broker.picture_files import draw_picture

DEEPEST, LIKELY_SHARE = 3, 0.8
KEYS = tuple(TrainingConfig.model_fields)
NUMBERS = (0, 1, -1, 2, 3, 7, 8, 16, 255, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 0.0, -0.0, 1e-9, 2e-4, 0.5, 1.5)
ODD_NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e308, 5e-324)
WORDS = (
    "",
    " ",
    "auto",
    "none",
    "lora",
    "q_proj",
    "../../etc/passwd",
    "~root/x",
    "a" * 5000,
    "True",
    "8",
    "1e3",
    "0x1",
)
ODD_WORDS = ("\0", "\ud800", "\u202e", "好" * 300, "{{7*7}}", "'; DROP TABLE jobs; --", "%s%n", "\r\nX: y", "💥")
MODELS = (
    *["smollm2-135m-instruct"] * 6,
    "smollm2-135m-instruct",
    "stable-diffusion-v1-5",
    "llama-2-7b",
    "chatglm3-6b",
    "qwen2.5-7b-instruct",
    "nobody",
)
PICTURE_SUFFIXES = ("png", "jpg", "webp", "bmp", "gif", "tiff")
NAMES = (
    *("train.jsonl", "a/b.jsonl", "a.jsonl/b.jsonl", "train.JSONL", "metadata.csv", "x.zip", ".hidden.jsonl"),
    *("../x.jsonl", "/etc/x.jsonl", "..\\x.jsonl", "x" * 260 + ".jsonl", "\u202e.jsonl", "a\nb.csv", "CON.jsonl"),
    *("метка.csv", "数据.jsonl"),
)
ROWS = (
    '{"prompt": "a", "completion": "b"}', '{"prompt": "a"}', "[]", "null", "{", '{"prompt": 1, "completion": []}',
    '{"prompt": "\\u0000", "completion": "\\ud800"}', '{"messages": [{"role": "user", "content": "a"}]}', "1e999",
    '"' * 50,
    '{"text": "' + "x" * 3000 + '"}', '{"prompt": "a", "prompt": "b", "completion": "c"}', "[" * 2000, "\ufeff{}",
)  # fmt: skip


def make_value(rng: random.Random, depth: int = 0) -> Any:
    """Make a value of any kind that JSON and YAML can write."""
    kinds: list[Sequence[Any]] = [NUMBERS, NUMBERS, ODD_NUMBERS, WORDS, ODD_WORDS, (True, False, None)]
    kind = rng.randrange(len(kinds) + (3 if depth < DEEPEST else 0))
    if kind < len(kinds):
        return rng.choice(kinds[kind])
    inner = [make_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return inner if kind > len(kinds) else {rng.choice([*KEYS, *WORDS]): each for each in inner}


def make_key(rng: random.Random) -> str:
    """Make a key: one that there is, or nearly one."""
    key = rng.choice(KEYS)
    if rng.random() < 0.75:
        return key
    place = rng.randrange(len(key))
    return key[:place] + rng.choice(["", "x", "_", "-", "\u202e", key[place] * 2]) + key[place + 1 :]


def make_config(rng: random.Random) -> dict[str, Any]:
    """Make a configuration with some keys that hold anything."""
    config: dict[str, Any] = {**CONFIG, "base_model": rng.choice(MODELS)}
    for _ in range(rng.randint(1, 4)):
        key = make_key(rng)
        config[key] = make_likely(rng, key) if rng.random() < LIKELY_SHARE else make_value(rng)
    return config


def make_likely(rng: random.Random, key: str) -> Any:
    """Make a value of the kind that a key wants, at the borders of what it takes: what passes the first look."""
    field = TrainingConfig.model_fields.get(key)
    if field is None:
        return make_value(rng)
    limits = [
        getattr(each, name) for each in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)
    ]
    likely = [field.default, *(field.examples or []), *limits, *get_args(field.annotation)]
    chosen = rng.choice([each for each in likely if isinstance(each, str | int | float | list | tuple)] or [None])
    return chosen + rng.choice((-1, 0, 1)) if type(chosen) is int else chosen


def write_yaml(rng: random.Random) -> bytes:
    """Write a configuration as people do, line by line, with values that YAML reads in its own way; then damage it."""
    lines = [f"base_model: {rng.choice(MODELS)}"]
    for _ in range(rng.randint(1, 6)):
        key = make_key(rng)
        value = make_likely(rng, key) if rng.random() < LIKELY_SHARE else make_value(rng)
        odd = rng.choice(
            ("yes", "on", "0o17", "1_000", "1:30", "~", "&a [*a]", "!!python/object:os.system x", "? ", "- a", "2e-4")
        )
        text = odd if rng.random() < 0.1 else json.dumps(value, ensure_ascii=rng.random() < 0.5)
        lines.append(f"{key}: {text}")
    written = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damage(rng, written) if rng.random() < 0.3 else written


def damage(rng: random.Random, content: bytes) -> bytes:
    """Damage bytes as disks, lines and people do: flipped, cut, doubled, filled, swapped."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        if not changed:
            break
        start = rng.randrange(len(changed))
        length = rng.choice((1, 1, 2, 4, 16, 200))
        kind = rng.randrange(6)
        if kind == 0:
            changed[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[start : start + length] = rng.randbytes(length)
        elif kind == 2:
            del changed[start : start + length]
        elif kind == 3:
            changed[start:start] = changed[start : start + length]
        elif kind == 4:
            changed[start : start + length] = rng.choice((b"\0", b"\xff")) * length
        else:
            del changed[start:]
    return bytes(changed)


def make_rows(rng: random.Random) -> bytes:
    """Make the content of a data file, of rows good and bad."""
    if rng.random() < 0.3:
        return damage(rng, jsonl())
    return "\n".join(rng.choice(ROWS) for _ in range(rng.randint(0, 6))).encode("utf-8", "surrogatepass")


def make_archive(rng: random.Random) -> tuple[str, bytes]:
    """Make an upload: its name, and an archive of odd members, damaged or not, or what only calls itself one."""
    sound = [("train.jsonl", jsonl())] if rng.random() < 0.5 else []
    members = [*sound, *((rng.choice(NAMES), make_rows(rng)) for _ in range(rng.randint(0, 3)))]
    kind = rng.choice(("zip", "tar", "tgz", "tbz2", "txz", "plain"))
    if kind == "plain":
        name, content = members[0] if members else ("empty.jsonl", b"")
    elif kind == "zip":
        name, content = "data.zip", write_zip(rng, members)
    else:
        name, content = f"data.{kind}", write_tar(rng, members, {"tgz": "gz", "tbz2": "bz2", "txz": "xz"}.get(kind, ""))
    if rng.random() < 0.1:
        content = gzip.compress(content)
    if rng.random() < 0.1:
        name = rng.choice(("data.zip", "data.tar", "data.tgz", "data.jsonl", "data", "data.zip.txt"))
    return name, damage(rng, content) if rng.random() < 0.5 else content


def write_zip(rng: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in dict(members).items():
            info = zipfile.ZipInfo(name.replace("\n", ""))
            info.compress_type = rng.choice(
                (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            )
            info.external_attr = rng.choice((0, 0o120777 << 16, 0o020666 << 16, 0o40755 << 16))
            archive.writestr(info, content)
    return buffer.getvalue()


def write_tar(rng: random.Random, members: list[tuple[str, bytes]], compression: str) -> bytes:
    kinds = (tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
    formats = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}", format=rng.choice(formats)) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = rng.choice(kinds), "/etc/passwd", len(content)
            if info.type != tarfile.REGTYPE:
                info.size = 0
            archive.addfile(info, io.BytesIO(content) if info.size else None)
    return buffer.getvalue()


def make_picture(rng: random.Random) -> tuple[str, bytes]:
    """Make a picture file that is damaged, or has the name of another format."""
    suffix = rng.choice(PICTURE_SUFFIXES)
    size = (rng.choice((1, 17, 64, 96)), rng.choice((1, 17, 64, 96)))
    content = damage(rng, draw_picture(size, number=rng.randrange(50), suffix=suffix))
    name = suffix if rng.random() < 0.85 else rng.choice(PICTURE_SUFFIXES)
    return f"picture.{name}", content
