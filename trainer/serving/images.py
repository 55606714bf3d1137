"""Pictures of a Stable Diffusion model, with adapters on its components."""

import tempfile
from pathlib import Path

from pricing.training.config import TrainingConfig
from trainer.errors import AdapterUnusable, BadInput
from trainer.families.stable_diffusion.stable_diffusion import RESOLUTIONS, StableDiffusion
from trainer.formats.adapter import Adapter
from trainer.formats.components import split_by_component
from trainer.formats.peft_layout import read_peft
from trainer.serving.hot_swap import HotSwap

STEP = 64  # pixels: eight latents, which the UNet halves three times
LARGEST = 2  # times the side that the model was made for: beyond, memory grows and pictures repeat themselves
IDLE = "default"  # the adapter that the family puts on each component: its second matrix is zero


class ImageServer:
    """A Stable Diffusion model, each component with its adapters."""

    def __init__(self, family: StableDiffusion, base_name: str) -> None:
        self.family = family
        family.attach_adapter(TrainingConfig(base_model=base_name, lora_rank=1, train_text_encoder=True))
        family.model.eval()
        self._components = {name: HotSwap(network) for name, network in family.adapters.components.items()}
        self._slots: dict[str, set[str]] = {}

    def can_take(self, adapter: Adapter) -> bool:  # noqa: ARG002 - what cannot be taken is refused by add
        return True

    def add(self, slot: str, adapter: Adapter) -> None:
        """Put an adapter on the components that it has layers for. Raises: AdapterUnusable, and none is left of it."""
        if str(adapter.config.get("peft_type", "LORA")) != "LORA":
            kind = adapter.config["peft_type"]
            raise AdapterUnusable(
                f"this adapter is {kind}; pictures are served with LoRA, use `trainer draw` for this one"
            )
        by_component = split_by_component(read_peft(adapter.tensors, {}, adapter.config))
        strange = sorted(by_component.keys() - self._components.keys())
        if strange:
            missing = strange[0] or "language model"
            raise AdapterUnusable(f"the adapter is of another base model: this one has no {missing}")
        self._slots[slot] = set()
        for component, own in by_component.items():
            try:
                self._components[component].add(slot, own)
            except AdapterUnusable:
                self.remove(slot)
                raise
            self._slots[slot].add(component)

    def use(self, slot: str | None) -> None:
        with_adapter = self._slots.get(slot or "", set())
        for name, component in self._components.items():
            component.use(slot if name in with_adapter and slot else IDLE)

    def remove(self, slot: str) -> None:
        for component in self._slots.pop(slot, set()):
            self._components[component].remove(slot)

    def clear(self) -> None:
        for slot in list(self._slots):
            self.remove(slot)

    def check_size(self, size: str | None) -> int:
        """Return the side of a picture in pixels, of a `size` such as 512x512. Raises: BadInput."""
        if size is None:
            return self.family.resolution
        width, _, height = size.partition("x")
        side, largest = int(width), LARGEST * RESOLUTIONS[self.family.base.kind]
        if width != height:
            raise BadInput("size", f"{size} is not square; say {width}x{width}")
        if side % STEP or not STEP <= side <= largest:
            raise BadInput("size", f"{size} is no multiple of {STEP} between {STEP} and {largest} pixels")
        return side

    def draw(self, prompt: str, *, seed: int, side: int) -> bytes:
        """Draw one picture of `side` by `side` pixels, as PNG."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "picture"
            return Path(self.family.sample(prompt, seed=seed, place=place, resolution=side)).read_bytes()
