"""The pictures that a labelling is for: counted by the captions that they have."""

from broker import errors
from broker.datasets.captions import read_captions
from broker.datasets.service import Dataset
from broker.persistence.storage import Storage
from broker.quotes.checking.labelling import LabelConfiguration
from broker.quotes.checking.refusal import refuse_config, refuse_fields


async def count_to_label(storage: Storage, dataset: Dataset, configuration: LabelConfiguration) -> int:
    """Count the pictures that are labelled; their captions are read at most once for all quotes of a data set.

    Raises: InvalidTrainingConfig, where there is none, or one that is named is not there; DatasetUnusable.
    """
    config, pictures = configuration.config, await read_captions(storage, dataset)
    names = {each.name for each in pictures}
    strange = [
        errors.FieldError(f"config.pictures.{place}", f"{name} is no picture of this data set")
        for place, name in enumerate(config.pictures)
        if name not in names
    ]
    if strange:
        raise refuse_fields(strange[:20])
    count = sum(config.takes(each.name, each.caption) for each in pictures)
    if count == 0:
        cure = "set conflict to replace or prepend, with scope all or selected"
        raise refuse_config("scope", f"every picture that is meant has a caption, so there is nothing to label; {cure}")
    return count
