"""Near-duplicates: found through what people do to pictures, and not between different ones."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.trainer.checking.pictures import blur, crop, draw_picture
from trainer.checking.near_duplicates import PictureHash, find_near_duplicates, hash_picture


def save_as_jpeg(picture: Image.Image) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=25)
    return Image.open(content)


@pytest.mark.parametrize(
    "change",
    [
        save_as_jpeg,
        blur,
        lambda picture: picture.resize((300, 260)),
        lambda picture: picture.convert("L"),
        lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda picture: picture.point(lambda value: min(255, value * 1.2)),
        lambda picture: crop(picture, 0.95),
        lambda picture: crop(picture, 0.9),
    ],
    ids=["jpeg", "blurred", "smaller", "grey", "mirrored", "brighter", "crop 95 %", "crop 90 %"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_changed_picture_is_found(change, seed) -> None:
    picture = draw_picture(seed)
    pairs = find_near_duplicates([hash_picture(draw_picture(99)), hash_picture(picture), hash_picture(change(picture))])
    assert [(earlier, later) for earlier, later, _ in pairs] == [(1, 2)]


def test_forty_different_pictures_are_all_different() -> None:
    assert find_near_duplicates([hash_picture(draw_picture(seed)) for seed in range(40)]) == []


hashes = st.builds(lambda bits: PictureHash(bits, (bits,)), st.integers(0, 2**64 - 1))


@given(st.lists(hashes, max_size=12), st.integers(0, 64))
def test_pairs_are_what_comparing_each_with_each_gives(items, max_distance) -> None:
    found = {later: bits for _, later, bits in find_near_duplicates(items, max_distance)}
    expected = {}
    for later in range(1, len(items)):
        nearest = min((items[later].whole ^ other.whole).bit_count() for other in items[:later])
        if nearest <= max_distance:
            expected[later] = nearest
    assert found == expected


def test_more_pictures_than_one_block_holds() -> None:
    items = [PictureHash(number << 32 | number * 7919, (number << 32 | number * 7919,)) for number in range(1200)]
    items.append(items[3])
    assert (3, 1200, 0) in find_near_duplicates(items, 0)
