"""What is uploaded in a history: pictures drawn by lot with captions, and files as small as they can be."""

import base64
import csv
import io
import json
import struct
import zipfile
from random import Random

from PIL import Image, ImageDraw

SIDE, GRAINS = 512, 128
# As folders of pictures are named: how often each is trained in an epoch, and what they show.
REPEATS = 40
SUBJECTS = ("teapot", "lantern", "river barge", "paper crane", "bamboo gate", "stone bridge", "night market", "kite")
PLACES = ("on a wet street", "in morning fog", "under a red awning", "by the window", "before grey hills")


def draw_style(lot: Random, count: int) -> bytes:
    """Draw a zip of pictures of one style with captions in `metadata.csv`."""
    buffer, captions = io.BytesIO(), io.StringIO()
    writer = csv.writer(captions)
    writer.writerow(["file_name", "text"])
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            name = f"{REPEATS}_ink and wash/{number:03d}.jpg"
            archive.writestr(_member(name), _draw_picture(lot))
            writer.writerow([name, f"a {lot.choice(SUBJECTS)} {lot.choice(PLACES)}, ink and wash, view {number}"])
        archive.writestr(_member("metadata.csv"), captions.getvalue())
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    """Name a file of an archive without the time of day, which would make the same seed another file."""
    return zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))


def _draw_picture(lot: Random) -> bytes:
    grain = Image.frombytes("L", (GRAINS, GRAINS), lot.randbytes(GRAINS * GRAINS))
    picture = grain.resize((SIDE, SIDE)).convert("RGB")
    picture.paste(Image.new("RGB", (SIDE, SIDE), _colour(lot)), mask=Image.linear_gradient("L").resize((SIDE, SIDE)))
    draw = ImageDraw.Draw(picture)
    for _shape in range(lot.randrange(20, 40)):
        left, top = lot.randrange(SIDE), lot.randrange(SIDE)
        box = (left, top, left + lot.randrange(8, 200), top + lot.randrange(8, 200))
        (draw.ellipse if lot.random() < 0.5 else draw.rectangle)(box, fill=_colour(lot), outline=_colour(lot), width=3)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def _colour(lot: Random) -> tuple[int, int, int]:
    return lot.randrange(256), lot.randrange(256), lot.randrange(256)


def write_adapter(job_id: str, rank: int) -> bytes:
    """Write a `.safetensors` file of one small matrix, whose metadata says that it was made up."""
    values = rank * 4
    metadata = {"format": "pt", "made_up": "yes", "job": job_id}
    entry = {"dtype": "F16", "shape": [rank, 4], "data_offsets": [0, 2 * values]}
    header = json.dumps({"__metadata__": metadata, "lora.weight": entry}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(2 * values)


def draw_sample(lot: Random) -> str:
    """Draw a small picture as a data URI: what an adapter makes of a prompt."""
    picture = Image.new("RGB", (64, 64), _colour(lot))
    ImageDraw.Draw(picture).ellipse((8, 8, lot.randrange(24, 60), 56), fill=_colour(lot))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
