import gzip
import json

import pytest

from pricing.catalog import (
    UnknownBaseModel,
    UnknownGpu,
    get_base_model,
    get_gpu,
    load_base_models,
    load_gpus,
    read_tokenizer,
)


def test_the_named_gpu_types_are_there():
    assert {"cpu", "rtx-3090", "rtx-4090", "a100-80g", "h100-80g"} <= load_gpus().keys()


def test_every_gpu_type_states_its_source():
    for gpu in load_gpus().values():
        assert "measured" in gpu.source or "assumed" in gpu.source


def test_faster_gpus_are_faster():
    speeds = [get_gpu(sku).effective_teraflops for sku in ("cpu", "rtx-3090", "rtx-4090", "a100-80g", "h100-80g")]
    assert speeds == sorted(speeds)
    assert speeds[0] < 1


def test_an_unknown_gpu_type_is_told_the_known_ones():
    with pytest.raises(UnknownGpu, match="rtx-3090") as caught:
        get_gpu("rtx-9999")
    assert caught.value.sku == "rtx-9999"


def test_an_unknown_base_model_is_told_the_known_ones():
    with pytest.raises(UnknownBaseModel, match="smollm2-135m-instruct") as caught:
        get_base_model("gpt-9")
    assert caught.value.name == "gpt-9"


def test_every_base_model_has_its_modules_and_its_tokenizer():
    for profile in load_base_models().values():
        assert set(profile.default_target_modules) <= profile.modules.keys()
        tokenizer = json.loads(gzip.decompress(read_tokenizer(profile)))
        assert len(tokenizer["model"]["vocab"]) <= profile.vocabulary


def test_the_modules_of_smollm2_add_up_to_its_parameters():
    profile = get_base_model("smollm2-135m-instruct")
    per_layer = sum(width_in * width_out for width_in, width_out in profile.modules.values()) + 2 * profile.hidden_size
    embedding = profile.vocabulary * profile.hidden_size  # tied to the output head
    assert profile.layers * per_layer + embedding + profile.hidden_size == profile.parameters
