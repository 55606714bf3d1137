"""Small copies of the pictures of a data set, for people to look at: made anew as JPEG, whatever the upload was."""

import asyncio
import io
import tarfile
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from broker import errors
from broker.datasets.picture_size import PictureUnusable, read_picture_size
from broker.datasets.stored_tar import Opener, StoredTar
from broker.datasets.tables import Dataset
from broker.persistence.storage import Storage
from broker.work import Work
from pricing.datasets.picture_listing import PICTURE_FORMATS, is_picture_name

THUMBNAIL_PIXELS = 192
JPEG_QUALITY = 80
# What no upload as such is taken to be: a file that takes more memory than this to be read is not shown.
MOST_FILE_BYTES = 64 * 1024 * 1024


def list_picture_names(dataset: Dataset) -> list[str]:
    """List the names of the pictures of a data set, in the order of its files. Pure."""
    return [file["name"] for file in dataset.files if is_picture_name(file["name"])]


@dataclass(frozen=True)
class StoredPicture:
    """A picture of a data set: its name in the file of the whole set, and where that lies."""

    storage: Storage
    tar: StoredTar
    name: str


def find_picture(work: Work, dataset: Dataset, number: int) -> StoredPicture:
    """Find a picture by its place among the pictures from 0; it is read without a transaction. Raises: NotFound."""
    names = list_picture_names(dataset)
    if not 0 <= number < len(names):
        raise errors.NotFound("picture", f"{dataset.id}/{number}")
    return StoredPicture(work.storage, dataset.tar, names[number])


async def make_thumbnail(picture: StoredPicture) -> bytes:
    """Make the small copy of one picture: that takes a while, so no connection is held. Raises: DatasetUnusable."""
    try:
        async with picture.tar.borrow(picture.storage) as packed:
            return await asyncio.to_thread(_shrink_member, packed, picture.name)
    except PictureUnusable as error:
        raise errors.DatasetUnusable(f"{picture.name} {error}") from error


def _shrink_member(packed: Opener, name: str) -> bytes:
    with packed() as opened, tarfile.open(fileobj=opened, mode="r:") as archive:
        member = archive.getmember(name)
        found = archive.extractfile(member) if member.size <= MOST_FILE_BYTES else None
        content = b"" if found is None else found.read()
    return shrink_picture(content)


def shrink_picture(content: bytes) -> bytes:
    """Shrink a picture to a JPEG that fits into a square, upright, without its metadata. Raises: PictureUnusable."""
    read_picture_size(io.BytesIO(content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=PICTURE_FORMATS) as opened:
                opened.draft("RGB", (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
                small = ImageOps.exif_transpose(opened).convert("RGB")
        small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        written = io.BytesIO()
        small.save(written, "JPEG", quality=JPEG_QUALITY)
    except Exception as error:  # a decoder raises anything for a damaged file
        raise PictureUnusable("is no picture that can be read") from error
    return written.getvalue()
