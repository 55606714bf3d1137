"""The Stable Diffusion family: SD 1.5 and SDXL, a LoRA on the UNet and if asked on the text encoders, the base frozen.

Latents and text embeddings are computed once and cached, so that neither the VAE nor a frozen text encoder takes part
in the training loop.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch

from pricing.datasets.text_rows import RowFinding
from pricing.training.config import TrainingConfig
from pricing.training.image_workload import repeat_pictures
from trainer.base_models.cache_dir import get_cache_dir
from trainer.base_models.config import BaseModelSource
from trainer.base_models.number_format import choose_dtype
from trainer.data.bad_rows import refuse_bad_rows
from trainer.data.dataset import EncodingCounts
from trainer.data.image_dataset import ImageRow
from trainer.data.tensor_cache import TensorCache
from trainer.errors import BadInput
from trainer.families.stable_diffusion.adapter import ComponentAdapters
from trainer.families.stable_diffusion.batch import ImageBatch, ImageExample, ImageGroup
from trainer.families.stable_diffusion.clip_text import Caption, ClipTokenizer
from trainer.families.stable_diffusion.inputs import LatentEncoder, collect_latents, embed_once, make_embedding_key
from trainer.families.stable_diffusion.noise import NoiseSchedule
from trainer.families.stable_diffusion.sampling import draw_picture
from trainer.families.stable_diffusion.text_encoders import TextEmbedding, embed_captions
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.formats.adapter import Adapter
from trainer.formats.base_model_hash import describe_base_file
from trainer.formats.components import describe_components
from trainer.kernels.choice import REPLAYING
from trainer.machine.transfer import bring

RESOLUTIONS = {"sd15": 512, "sdxl": 1024}


class StableDiffusion:
    """A Stable Diffusion base model and the adapter that is trained on it, or applied."""

    def __init__(self, base: BaseWeights, config: TrainingConfig, device: torch.device) -> None:
        self.base, self.config, self.device = base, config, device
        self.tokenizer = ClipTokenizer.load()
        self._cache = TensorCache(get_cache_dir() / "images")
        self._components: dict[str, torch.nn.Module] = {}
        self._adapters: ComponentAdapters | None = None
        self._encoders_key = ""
        self._replays = False
        self.located: str | None = None
        self.encoding_counts = EncodingCounts()

    @classmethod
    def load(cls, source: BaseModelSource, config: TrainingConfig | None = None) -> Self:
        """Look at the base model; its components are loaded when they are needed. Raises: BadInput."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        family = cls(BaseWeights.open(source.weights), config or TrainingConfig(base_model=source.name), device)
        family.located = source.locate()
        return family

    @property
    def model(self) -> torch.nn.Module:
        return self.adapters.model

    @property
    def adapters(self) -> ComponentAdapters:
        if self._adapters is None:
            raise RuntimeError("attach_adapter comes first")
        return self._adapters

    @property
    def resolution(self) -> int:
        return self.config.resolution or RESOLUTIONS[self.base.kind]

    def encode(self, rows: Sequence[ImageRow], *, max_length: int) -> list[ImageExample]:  # noqa: ARG002 - CLIP's own
        """Compute latents and text embeddings of every picture, or find them in the cache; then let go of VAE and
        encoders.

        Raises: BadInput, for pictures that cannot be decoded, unless the configuration says to leave such out.
        """
        keys, findings = self._collect_latents(rows)
        refuse_bad_rows(findings, skip=self.config.tolerates_bad(len(findings), of=len(rows)))
        rows = [row for row in rows if row.path in keys]
        if all(row.is_regularisation for row in rows):
            raise BadInput("train_data_dir", "no picture is left to train on: none of them can be decoded")
        examples = [self._make_example(row, keys[row.path]) for row in repeat_pictures(rows)]
        cut = sum(self.tokenizer.encode(row.caption).is_cut for row in rows)
        self.encoding_counts = EncodingCounts(cut=cut, refused=tuple(findings))
        if not self.config.train_text_encoder:
            self._embed([example.caption for example in examples])
        if not self.config.sample_prompts:
            self._components.clear()
        return examples

    def _collect_latents(self, rows: Sequence[ImageRow]) -> tuple[dict[Path, str], list[RowFinding]]:
        vae = self.component("vae")
        key = self.base.fingerprint("vae", vae)
        encoder = LatentEncoder(self._cache, self.config, self.resolution, vae, key, self.device)
        return collect_latents(rows, encoder)

    def _make_example(self, row: ImageRow, key: str) -> ImageExample:
        weight = self.config.prior_loss_weight if row.is_regularisation else 1.0
        height, width = self._cache.get(key)["moments"].shape[-2:]
        caption = self.tokenizer.encode(row.caption)
        return ImageExample(key, caption, weight, (height, width), row.is_regularisation)

    def _embed(self, captions: Sequence[Caption]) -> None:
        encoders = self.text_encoders()
        self._encoders_key = " ".join(self.base.fingerprint(name, encoder) for name, encoder in encoders.items())
        embed_once(
            self.base,
            self._cache,
            [*captions, self.tokenizer.encode("")],
            encoders,
            encoders_key=self._encoders_key,
            clip_skip=self.config.clip_skip,
            device=self.device,
        )

    def component(self, name: str) -> torch.nn.Module:
        """Return a frozen component without adapter, loaded when it is first asked for."""
        if name not in self._components:
            self._components[name] = self.base.load(name).to(self.device)
        return self._components[name]

    def text_encoders(self) -> Mapping[str, torch.nn.Module]:
        """Return the text encoders, each with its adapter if it has one."""
        trained = self._adapters.components if self._adapters is not None else {}
        return {name: trained.get(name) or self.component(name) for name in self.base.text_encoders}

    def describe_format(self) -> None:
        """Return nothing: captions have no text around them."""

    def keep_format(self, kept: dict[str, Any]) -> None:
        """Do nothing, for the same reason."""

    def fingerprint(self, examples: Sequence[ImageExample]) -> str:
        """Compute the SHA-256 of what is trained on, so that a checkpoint is not resumed on other data."""
        digest = hashlib.sha256()
        for example in examples:
            digest.update(json.dumps([example.latents, example.caption.token_ids, example.weight]).encode())
        return digest.hexdigest()

    @classmethod
    def prepare_weights(cls, source: BaseModelSource) -> Path:
        """Return the weights as they lie: a diffusers folder, or one file."""
        return source.weights

    @classmethod
    def translate_targets(cls, targets: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return the names as they are: diffusers has but one for each layer."""
        return None if targets is None else tuple(targets)

    def list_sources(self, examples: Sequence[ImageExample]) -> list[str | None]:
        """Name the picture that each example is a repeat of; None for regularisation, which is not to be learnt."""
        return [example.source for example in examples]

    def count_positions(self, example: ImageExample) -> int:
        """Count the latent positions of a picture."""
        height, width = example.shape
        return height * width

    def describe_base_file(self, source: BaseModelSource, sha256: str) -> dict[str, str]:
        """Name the base model as sd-scripts and WebUI do."""
        return describe_base_file(source.weights, sha256)

    def attach_adapter(self, config: TrainingConfig, default_targets: Sequence[str] | None = None) -> None:
        """Put fresh matrices on UNet and, if asked, text encoders. Draws from torch's generator. Raises: BadInput."""
        self.config = config
        names = ["unet", *(self.base.text_encoders if config.train_text_encoder else ())]
        self._adapters = ComponentAdapters.attach(
            {name: self.base.load(name) for name in names}, config, default_targets
        )
        self._prepare()

    def _prepare(self) -> None:
        """Bring the components and their adapters to the device, and choose how noise is weighed."""
        config = self.config
        self._dtype = choose_dtype(config, self.device)
        self.adapters.move(self.device, self._dtype)
        self._schedule = NoiseSchedule.create(
            self.base.scheduler, config.prediction_type, config.min_snr_gamma, self.device
        )

    def recompute_activations(self) -> None:
        """Compute activations twice instead of keeping them."""
        self.adapters.save_memory()

    def compile_blocks(self, **options: Any) -> None:
        """Compile the transformer blocks of the UNet, which repeat; buckets have few shapes."""
        self._replays = options.get("mode") == REPLAYING
        self.adapters.components["unet"].get_base_model().compile_repeated_blocks(**options)

    def apply_adapter(self, adapter_config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        """Put a finished adapter on the base model, for drawing. Raises: BadInput, AdapterUnusable."""
        described = describe_components(Adapter(tensors, adapter_config, {}))
        strange = sorted(described.keys() - {"unet", *self.base.text_encoders})
        if strange or "unet" not in described:
            has = f"it has layers of {strange[0] or 'a language model'}" if strange else "it has none of the UNet"
            raise BadInput("base_model", f"the adapter was made for another kind of base model: {has}")
        self.config = self.config.model_copy(update={"train_text_encoder": len(described) > 1})
        self._adapters = ComponentAdapters.rebuild({name: self.base.load(name) for name in described}, described)
        self._prepare()
        self.load_adapter_tensors(tensors)
        self.model.eval()

    def group(self, examples: Sequence[ImageExample]) -> list[tuple[int, int]]:
        return [example.shape for example in examples]

    def collate(self, examples: Sequence[ImageExample]) -> ImageBatch:
        """Draw noise, timesteps and mirroring; pictures of one shape make a group.

        Everything is drawn on the CPU, from a number of this step and the picture itself, so that a resumed run draws
        the same, and several processes what one would draw. While nothing trains (validation) that number is fixed,
        so that losses can be compared.
        """
        step = int(torch.randint(2**31, ())) if self.model.training else 0
        seen: Counter[str] = Counter()
        drawn = []
        for example in examples:
            drawn.append((example, self._draw(example, f"{step}/{seen[example.latents]}/{example.latents}")))
            seen[example.latents] += 1
        groups = []
        for shape in dict.fromkeys(example.shape for example in examples):
            members = [tensors for example, tensors in drawn if example.shape == shape]
            groups.append(_stack(members, self.device))
        tokens = sum(len(caption.token_ids) for group in groups for caption in group.captions)
        return ImageBatch(groups, tokens, float(len(examples)))

    def _draw(self, example: ImageExample, seed: str) -> dict[str, Any]:
        cached, config = self._cache.get(example.latents), self.config
        source = torch.Generator().manual_seed(int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16))
        mirror = float(torch.rand((), generator=source))
        mean, logvar = cached["mirrored" if config.flip and mirror < 0.5 else "moments"].chunk(2)
        spread = torch.exp(0.5 * logvar.clamp(-30, 20))
        latents = (mean + spread * torch.randn(mean.shape, generator=source)) * self.base.configs["vae"][
            "scaling_factor"
        ]
        noise = torch.randn(mean.shape, generator=source)
        if config.noise_offset:
            noise = noise + config.noise_offset * torch.randn(len(mean), 1, 1, generator=source)
        return {
            "latents": latents,
            "noise": noise,
            "timesteps": torch.randint(self._schedule.steps, (), generator=source),
            "weights": torch.tensor(example.weight),
            "geometry": cached["geometry"],
            "caption": example.caption,
        }

    def compute_loss(self, batch: ImageBatch) -> torch.Tensor:
        """Compute the weighted mean squared error of the prediction, the mean over the pictures of the batch."""
        self._begin_replays()
        total = torch.zeros((), device=self.device)
        for group in batch.groups:
            noisy = self._schedule.add_noise(group.latents, group.noise, group.timesteps)
            noisy = noisy.contiguous(memory_format=self.adapters.memory_format)
            with self._autocast():
                predicted = self._predict(noisy, group.timesteps, self._embedding_of(group.captions), group.geometry)
            losses = self._schedule.compute_loss(predicted, group.latents, group.noise, group.timesteps)
            total = total + (losses * group.weights).sum()
        return total / batch.weight

    def _begin_replays(self) -> None:
        """Say that what blocks answered so far has been used, where CUDA graphs write it anew."""
        if self._replays:
            torch.compiler.cudagraph_mark_step_begin()

    def _predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, text: TextEmbedding, geometry: torch.Tensor
    ) -> torch.Tensor:
        added = {"text_embeds": text.pooled, "time_ids": geometry} if self.base.kind == "sdxl" else None
        unet = self.adapters.components["unet"]
        return unet(noisy, timesteps, encoder_hidden_states=text.hidden, added_cond_kwargs=added, return_dict=False)[0]

    def _embedding_of(self, captions: Sequence[Caption]) -> TextEmbedding:
        if self.config.train_text_encoder or not self._encoders_key:
            encoders, skip = self.text_encoders(), self.config.clip_skip
            return embed_captions(self.base.kind, encoders, captions, clip_skip=skip, device=self.device)
        keys = [make_embedding_key(caption, self._encoders_key, self.config.clip_skip) for caption in captions]
        found = [self._cache.get(key) for key in keys]
        hidden, pooled = (torch.stack([entry[name] for entry in found]) for name in ("hidden", "pooled"))
        return TextEmbedding(bring(hidden, self.device), bring(pooled, self.device))

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self._dtype)

    def adapter_tensors(self) -> dict[str, torch.Tensor]:
        return self.adapters.read_tensors()

    def load_adapter_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put the adapter's tensors back. Raises: BadInput, if they are not of this model and rank."""
        self.adapters.load_tensors(tensors)

    def adapter_config(self) -> dict[str, Any]:
        return self.adapters.describe() | {"base_model_name_or_path": self.located}

    @torch.no_grad()
    def sample(self, prompt: str, *, seed: int, place: Path, resolution: int | None = None) -> str:
        """Draw a picture into `place`.png, and return its name; its side is the configuration's unless it is said."""
        texts = [self.tokenizer.encode(""), self.tokenizer.encode(prompt)]
        text = embed_captions(
            self.base.kind, self.text_encoders(), texts, clip_skip=self.config.clip_skip, device=self.device
        )

        def predict(noisy: torch.Tensor, timesteps: torch.Tensor, geometry: torch.Tensor) -> torch.Tensor:
            self._begin_replays()
            return self._predict(noisy, timesteps, text, geometry)

        with self._autocast():
            picture = draw_picture(
                predict,
                self.component("vae"),
                self.base.scheduler | {"prediction_type": self._schedule.prediction_type},
                resolution=resolution or self.resolution,
                seed=seed,
            )
        file = place.with_name(f"{place.name}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file)
        return str(file)


def _stack(members: Sequence[Mapping[str, Any]], device: torch.device) -> ImageGroup:
    names = ("latents", "noise", "timesteps", "weights", "geometry")
    tensors = {name: bring(torch.stack([member[name] for member in members]), device) for name in names}
    return ImageGroup(**tensors, captions=[member["caption"] for member in members])
