"""Aspect-ratio buckets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.training.buckets import Bucket, choose_bucket, plan_buckets


@pytest.mark.parametrize("resolution", [64, 256, 512, 768, 1024])
def test_no_bucket_is_larger_than_asked_for_and_sides_suit_the_unet(resolution) -> None:
    step = 64 if resolution >= 256 else 32
    for bucket in plan_buckets(resolution):
        assert bucket.width * bucket.height <= resolution**2
        assert bucket.width % step == bucket.height % step == 0
        assert max(bucket.width, bucket.height) <= 2 * resolution


def test_the_known_buckets_of_512_are_there() -> None:
    shapes = {(bucket.width, bucket.height) for bucket in plan_buckets(512)}
    assert {(512, 512), (576, 448), (640, 384), (768, 320), (448, 576), (384, 640), (1024, 256)} <= shapes


def test_a_square_stays_square_and_a_landscape_wide() -> None:
    assert choose_bucket(3000, 3000, 512, keep_aspect=True) == Bucket(512, 512)
    assert choose_bucket(1920, 1080, 512, keep_aspect=True) == Bucket(640, 384)
    assert choose_bucket(1920, 1080, 512, keep_aspect=False) == Bucket(512, 512)


@given(width=st.integers(1, 10_000), height=st.integers(1, 10_000))
def test_the_bucket_is_the_one_of_the_nearest_shape(width, height) -> None:
    chosen = choose_bucket(width, height, 512, keep_aspect=True)

    def distance(bucket: Bucket) -> float:
        return abs(math.log(bucket.width / bucket.height * height / width))

    assert distance(chosen) <= min(map(distance, plan_buckets(512))) + 1e-9


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_turning_a_picture_turns_its_bucket(width, height) -> None:
    upright = choose_bucket(width, height, 512, keep_aspect=True)
    turned = choose_bucket(height, width, 512, keep_aspect=True)
    assert math.isclose(
        abs(math.log(upright.width / upright.height)), abs(math.log(turned.width / turned.height)), abs_tol=0.2
    )


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([64, 200, 256, 512, 768, 1000, 1024, 4096]))
def test_no_other_bucket_is_nearer(width, height, resolution) -> None:
    def distance(bucket: Bucket) -> tuple[float, int]:
        return abs(math.log(bucket.width / bucket.height / (width / height))), -bucket.width * bucket.height

    chosen = choose_bucket(width, height, resolution, keep_aspect=True)
    assert distance(chosen) == min(map(distance, plan_buckets(resolution)))
