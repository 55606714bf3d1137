"""The captions of a data set of pictures: read from its file, and remembered for those last asked for."""

import asyncio
import tarfile
from collections.abc import MutableMapping, Sequence

from cachetools import LRUCache

from broker import errors
from broker.datasets.caption_files import list_pictures
from broker.datasets.stored_tar import Opener
from broker.datasets.tables import Dataset
from broker.persistence.storage import Storage
from pricing.datasets.picture_listing import ListedPicture

CACHE_BYTES = 32 * 1024 * 1024
BYTES_OF_A_PICTURE = 400


def _weigh(pictures: Sequence[ListedPicture]) -> int:
    return 512 + sum(BYTES_OF_A_PICTURE + 2 * (len(each.name) + len(each.caption)) for each in pictures)


# By the hash of the data set: what it holds never changes.
KNOWN: MutableMapping[str, Sequence[ListedPicture]] = LRUCache(CACHE_BYTES, getsizeof=_weigh)


async def read_captions(storage: Storage, dataset: Dataset) -> Sequence[ListedPicture]:
    """Read the pictures of a data set with their captions, in the order in which they are trained.

    Raises: DatasetUnusable, for a data set of text.
    """
    if dataset.kind != "images":
        message = "it holds text, and captions are of pictures; name a data set of pictures"
        raise errors.DatasetUnusable(f"{dataset.id}: {message}", errors=[errors.FieldError("dataset_id", message)])
    known = KNOWN.get(dataset.sha256)
    if known is None:
        async with dataset.tar.borrow(storage) as packed:
            known = await asyncio.to_thread(_read_packed, packed)
        if _weigh(known) <= CACHE_BYTES:
            KNOWN[dataset.sha256] = known
    return known


def _read_packed(packed: Opener) -> Sequence[ListedPicture]:
    with packed() as opened, tarfile.open(fileobj=opened, mode="r:") as archive:
        members = {member.name: member for member in archive}

        def read(name: str) -> bytes:
            file = archive.extractfile(members[name])
            assert file is not None, "our own tar holds plain files"
            return file.read()

        return tuple(list_pictures(list(members), read))
