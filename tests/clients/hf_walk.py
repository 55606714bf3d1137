"""Downloads an adapter through the Hugging Face hub's client, as `hf download` does, and has plain peft read it.

hf_walk.py REPOSITORY FOLDER    with HF_ENDPOINT and HF_TOKEN; what it found goes to standard output as JSON.
"""

import json
import sys
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from peft import PeftConfig
from peft.utils import load_peft_weights

repository, folder = sys.argv[1], Path(sys.argv[2])
whole = Path(snapshot_download(repository, local_dir=folder / "whole"))
api = HfApi()
told = api.model_info(repository)
faults = {}
for name, ask in {
    "entry": lambda: hf_hub_download(repository, "config.json", cache_dir=folder / "cache"),
    "revision": lambda: api.model_info(repository, revision="v9"),
    "repository": lambda: api.model_info(repository + "-nope"),
}.items():
    try:
        ask()
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        faults[name] = type(error).__name__
one = hf_hub_download(repository, "adapter_model.safetensors", revision=told.sha, cache_dir=folder / "cache")
config = PeftConfig.from_pretrained(repository)
found = {
    "files": sorted(each.name for each in whole.iterdir() if each.is_file()),
    "sha": told.sha,
    "tree": sorted(each.path for each in api.list_repo_tree(repository, recursive=True)),
    "whoami": api.whoami()["name"],
    "one": Path(one).read_bytes() == (whole / "adapter_model.safetensors").read_bytes(),
    "faults": faults,
    "config": [str(config.peft_type.value), config.r, config.base_model_name_or_path],
    "tensors": len(load_peft_weights(repository, device="cpu")),
}
json.dump(found, sys.stdout)
