"""Pictures drawn for tests: no two of different seeds look alike, and a sharp one has edges everywhere."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def draw_picture(seed: int, size: tuple[int, int] = (640, 560)) -> Image.Image:
    """Coloured blocks and lines, sharp."""
    random = np.random.default_rng(seed)
    ground = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(ground).resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y = random.uniform(0, size[0]), random.uniform(0, size[1])
        box = (x, y, x + random.uniform(10, size[0] / 4), y + random.uniform(10, size[1] / 4))
        draw.rectangle(box, fill=tuple(random.integers(0, 256, 3).tolist()), outline="black", width=2)
    return picture


def blur(picture: Image.Image, radius: float = 4) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(radius))


def crop(picture: Image.Image, keeps: float, place: tuple[float, float] = (0.3, 0.6)) -> Image.Image:
    width, height = round(picture.width * keeps), round(picture.height * keeps)
    left, top = round((picture.width - width) * place[0]), round((picture.height - height) * place[1])
    return picture.crop((left, top, left + width, top + height))


def write_pictures(folder: Path, count: int, *, captions: bool = True) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        file = folder / f"{number:03}.png"
        draw_picture(number).save(file, compress_level=1)
        files.append(file)
        if captions:
            file.with_suffix(".txt").write_text(f"red and blue blocks number {number} on a grid", encoding="utf-8")
    return files
