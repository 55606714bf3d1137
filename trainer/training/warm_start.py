"""Starting from an existing adapter: its weights are taken over, its history is not."""

from typing import Any

from pricing.training.config import TrainingConfig
from trainer.base_models.places import expand
from trainer.errors import AdapterUnusable, BadInput
from trainer.families.family import Family
from trainer.formats.reading import load_adapter_any
from trainer.formats.rescaling import rescale_tensors


def start_from_adapter(family: Family[Any], config: TrainingConfig, base_model: str, base_sha256: str = "") -> None:
    """Put the adapter of `init_from` on the family, whose fresh adapter is attached already.

    Raises: AdapterUnusable; BadInput, which names what does not match: rank, modules, variant or base model.
    """
    if config.init_from is None:
        return
    place = expand(config.init_from)
    adapter = load_adapter_any(place)  # kohya's and diffusers' files too
    theirs, ours = adapter.config, family.adapter_config()
    differences = list(_compare(theirs, ours))
    trained_on, their_sha256 = adapter.header.get("base_model"), adapter.header.get("base_model_sha256")
    if trained_on is not None and trained_on != base_model:
        differences.append(f"it was trained on base_model {trained_on}, this run has {base_model}")
    elif their_sha256 and base_sha256 and their_sha256 != base_sha256:
        differences.append(f"it was trained on other weights of {base_model} than those here")
    if differences:
        raise BadInput("init_from", f"{place} does not fit: {'; '.join(differences)}")
    try:
        family.load_adapter_tensors(rescale_tensors(adapter, ours))
    except (BadInput, RuntimeError, KeyError) as error:
        raise AdapterUnusable(f"init_from: {place} has not the tensors of this base model ({error})") from error


def _compare(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    found = []
    if "r" in theirs and theirs["r"] != ours["r"]:
        found.append(f"its rank is {theirs['r']}; set lora_rank: {theirs['r']} (now {ours['r']})")
    modules, wanted = _names(theirs.get("target_modules")), _names(ours.get("target_modules"))
    if modules and modules != wanted:
        named = ", ".join(sorted(modules))
        found.append(f"its modules are {named}; set target_modules: [{named}] (now {', '.join(sorted(wanted))})")
    for key, name in (("use_dora", "dora"), ("use_rslora", "rslora")):
        if bool(theirs.get(key)) != bool(ours.get(key)):
            found.append(f"it is {'' if theirs.get(key) else 'not '}of the {name} variant; set variant to match")
    kind, wanted_kind = (str(getattr(side.get("peft_type"), "value", side.get("peft_type"))) for side in (theirs, ours))
    if "peft_type" in theirs and kind != wanted_kind:
        found.append(f"it is of kind {kind}, this run makes {wanted_kind}; set variant to match")
    return found


def _names(modules: Any) -> set[str]:
    """Name the kinds of layers: files of other programs name each layer in full."""
    return {_shorten(name) for name in ({modules} if isinstance(modules, str) else modules or ())}


def _shorten(name: str) -> str:
    """Shorten a layer's path to its last word; `…attn1.to_out.0` keeps its number."""
    head, _, last = name.rpartition(".")
    return f"{head.rpartition('.')[2]}.{last}" if last.isdigit() else last
