"""Small data sets of pictures, as customers send them."""

import io
import random
import zipfile
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw

from tests.broker.factories import Api


def draw_picture(size: tuple[int, int] = (96, 96), *, number: int = 0, suffix: str = "png", **options: Any) -> bytes:
    """Draw a disc, of a place and colour of its own, in the format of a suffix that Pillow knows."""
    draw = random.Random(number)
    picture = Image.new("RGB", size, (draw.randrange(256), draw.randrange(256), draw.randrange(256)))
    ImageDraw.Draw(picture).ellipse((8, 8, 24 + draw.randrange(40), 60), fill=(30 * number % 256, 90, 200))
    buffer = io.BytesIO()
    picture.save(buffer, Image.registered_extensions()[f".{suffix}"], **options)
    return buffer.getvalue()


def zip_files(files: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def zip_as_windows(files: Mapping[str, bytes], codec: str = "gbk") -> bytes:
    """Zip files as Windows Explorer does: names in the system's encoding, and nothing that says so."""
    plain = {f"{number:0{len(name.encode(codec)) - 1}d}n": name for number, name in enumerate(files)}
    content = zip_files({short: files[name] for short, name in plain.items()})
    for short, name in plain.items():
        content = content.replace(short.encode(), name.encode(codec))
    return content


def style_files(count: int = 6) -> dict[str, bytes | str]:
    """Pictures of three shapes, with captions of different lengths in metadata.csv; one has a folder of repeats."""
    sizes, files = [(96, 96), (128, 72), (72, 128)], dict[str, bytes | str]()
    rows = ["file_name,text"]
    for number in range(count):
        name = f"{number}.png"
        files[name] = draw_picture(sizes[number % 3], number=number)
        rows.append(f'{name},"a blue disc on a wall' + ", with a shadow" * (number % 3) + '"')
    files["3_red disc/extra.png"] = draw_picture(number=99)
    return files | {"metadata.csv": "\n".join(rows)}


async def upload_pictures(api: Api, customer_id: str, files: Mapping[str, bytes | str], *, expect: int = 201) -> Any:
    sent = {"files": ("style.zip", zip_files(files))}
    return (await api.call("POST", "/datasets", files=sent, data={"customer_id": customer_id}, expect=expect)).json()
