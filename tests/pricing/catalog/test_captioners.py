"""Captioning models: known by any spelling, and on offer where an operator names them."""

import pytest

from pricing.catalog import load_base_models
from pricing.catalog.captioners import OfferedCaptioners, UnknownCaptioner, get_captioner, load_captioners


def test_a_captioner_is_found_by_the_name_of_its_hub() -> None:
    assert get_captioner("Salesforce/blip-image-captioning-base").name == "blip-base"
    assert get_captioner("BLIP Base").parameters == 247_502_076


def test_no_captioner_has_the_name_of_a_base_model() -> None:
    assert load_captioners().keys().isdisjoint(load_base_models())


def test_what_is_not_on_offer_is_told_with_what_is() -> None:
    offered = OfferedCaptioners.of(["blip-base", "Florence-2 Base", "blip-base"])
    assert offered.names == ("blip-base", "florence-2-base")
    assert offered.get(None).name == "blip-base"
    with pytest.raises(UnknownCaptioner, match="not on offer here; did you mean blip-base"):
        offered.get("blip-large")
    with pytest.raises(UnknownCaptioner, match="BROKER_CAPTIONERS"):
        OfferedCaptioners().get(None)
    with pytest.raises(UnknownCaptioner, match="no captioning model"):
        OfferedCaptioners.of(["clip"])
