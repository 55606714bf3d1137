"""What a repository holds: the weights, peft's configuration, and a card. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.facades.hf.repositories import name_commit

WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "README.md"


@dataclass(frozen=True)
class RepositoryFile:
    """A file: its name, its size in bytes, the digest by which the client knows it, and its content.

    The weights have no content here: they lie where the REST API gives them.
    """

    name: str
    size: int
    digest: str
    content: bytes | None = None

    @classmethod
    def of(cls, name: str, content: bytes) -> "RepositoryFile":
        return cls(name, len(content), hashlib.sha256(content).hexdigest(), content)


def list_files(adapter: Mapping[str, Any], config: Mapping[str, Any] | None) -> dict[str, RepositoryFile]:
    """List the files of an adapter by name; one whose weights tell no configuration has none."""
    files = [RepositoryFile(WEIGHTS, adapter["size_bytes"], adapter["sha256"])]
    if config is not None:
        files.append(RepositoryFile.of(CONFIG, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()))
    files.append(RepositoryFile.of(CARD, write_card(adapter)))
    return {file.name: file for file in files}


def write_card(adapter: Mapping[str, Any]) -> bytes:
    """Write the card: the base model and the job, in the head that the hub reads."""
    head = {"base_model": adapter["base_model"], "library_name": "peft", "tags": ["lora"]}
    lines = [f"{name}: {json.dumps(value)}" for name, value in head.items()]
    told = f"Version {adapter['version']}, trained by job {adapter['job_id']}."
    return "\n".join(["---", *lines, "---", f"# {adapter['name']}", "", told, ""]).encode()


def write_repository(name: str, adapter: Mapping[str, Any], files: Mapping[str, RepositoryFile]) -> dict[str, Any]:
    """Write a repository at one revision, as the client reads it."""
    return {
        "_id": adapter["id"],
        "id": name,
        "modelId": name,
        "sha": name_commit(adapter),
        "private": True,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "library_name": "peft",
        "tags": ["peft", "lora", f"base_model:{adapter['base_model']}"],
        "createdAt": adapter["created_at"],
        "lastModified": adapter["created_at"],
        "siblings": [{"rfilename": each} for each in files],
    }


def write_tree(files: Mapping[str, RepositoryFile]) -> list[dict[str, Any]]:
    """Write the files of a repository; the weights as the hub tells of large ones."""
    return [
        {"type": "file", "path": file.name, "size": file.size, "oid": file.digest[:40]}
        | ({} if file.content is not None else {"lfs": {"oid": file.digest, "size": file.size, "pointerSize": 134}})
        for file in files.values()
    ]
