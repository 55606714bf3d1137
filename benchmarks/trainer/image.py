"""Images: our training against the way of diffusers' script, on the tiny random SD, 256 pixels, batch 4, rank 8.

Bars from the requirement: 1.5 times the steps a second, the same modules, peak memory no higher. One round is one
epoch of eight steps. Ours has the latents and text embeddings in its cache when measuring starts, as it has from the
second epoch on in any run; the first round, before which they are made, is the warm-up.
"""

import tempfile
from pathlib import Path

from benchmarks.row import Row
from benchmarks.trainer.image_job import BATCH, PICTURES, write_image_job
from benchmarks.trainer.interleave import Side, interleave, read_trainer_environment

OURS, PEER = "benchmarks.trainer.side_ours", "benchmarks.trainer.side_diffusers"
PEER_NAME = "diffusers' train_text_to_image_lora.py"
SPEED_BAR = 1.5
MIB = 2**20


def measure(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-bench-", ignore_cleanup_errors=True) as folder:
        job = str(write_image_job(Path(folder) / "job"))
        ours, peer = Side(OURS, (job,), read_trainer_environment()), Side(PEER, (job,))
        interleave([ours, peer], rounds)
    steps = PICTURES // BATCH
    name = "image, tiny SD, 256 px, batch 4"
    wall = (steps / ours.median("wall_seconds"), steps / peer.median("wall_seconds"))
    cpu = (steps / ours.median("cpu_seconds"), steps / peer.median("cpu_seconds"))
    peak = (ours.peak_bytes / MIB, peer.peak_bytes / MIB)
    return [
        Row(f"{name}, speed", "steps/s", wall[0], PEER_NAME, wall[1], SPEED_BAR, better="higher"),
        Row(f"{name}, speed by CPU time", "steps/CPU-s", cpu[0], PEER_NAME, cpu[1], SPEED_BAR, better="higher"),
        Row(f"{name}, peak memory", "MiB", peak[0], PEER_NAME, peak[1], 1.0),
    ]
