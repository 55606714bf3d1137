"""An adapter's weights and its `adapter_config.json` as one: whenever writing them breaks off, a folder never holds the
weights of one training with the configuration of another.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from trainer.atomic_files import sync, telling_why, writing_folder
from trainer.formats.adapter import ADAPTER_FILE, CONFIG_FILE

PENDING = ".adapter.complete"  # a folder that has this name holds both files, whole


def write_pair(
    folder: Path, tensors: Mapping[str, torch.Tensor], header: dict[str, str], config: Mapping[str, Any]
) -> None:
    """Write both files aside, and put them in place when they are complete. Raises: CannotWrite."""
    with writing_folder(folder / PENDING) as aside:
        (aside / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
        save_file({name: value.contiguous() for name, value in tensors.items()}, aside / ADAPTER_FILE, metadata=header)
    finish_interrupted_pair(folder)


def finish_interrupted_pair(folder: Path) -> None:
    """Put a pair in place that was complete when its writer was killed; nothing, where there is none.

    The weights of another configuration go first, so that there are none rather than strange ones meanwhile.
    """
    pending, config, weights = folder / PENDING, folder / CONFIG_FILE, folder / ADAPTER_FILE
    if not pending.is_dir():
        return
    with telling_why(weights):
        if (pending / CONFIG_FILE).is_file():
            if not config.is_file() or config.read_bytes() != (pending / CONFIG_FILE).read_bytes():
                weights.unlink(missing_ok=True)
            (pending / CONFIG_FILE).replace(config)
            sync(folder)
        if (pending / ADAPTER_FILE).is_file():
            (pending / ADAPTER_FILE).replace(weights)
        pending.rmdir()
        sync(folder)
