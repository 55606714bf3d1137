"""The LLaMA-like family: any causal language model that transformers knows, a LoRA on it, the base frozen."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch.nn.functional import cross_entropy

from pricing.datasets.text_rows import EncodedRow, TextRow, encode_row
from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.base_models.gguf_cache import dequantize_once
from trainer.base_models.model_type import refuse_what_sees
from trainer.base_models.number_format import choose_dtype, describe_quantization
from trainer.base_models.peft_adapter import (
    check_targets,
    choose_usual_targets,
    describe_adapter,
    name_targets,
    put_adapter_on,
)
from trainer.base_models.transformers_quiet import peft, transformers
from trainer.data.dataset import EncodingCounts
from trainer.errors import BadInput
from trainer.families.text.batch import TextBatch, pack_rows, pad_rows
from trainer.families.text.tokenizer import TextTokenizer, load_text_tokenizer
from trainer.kernels.cpu_layers.llama_layer import use_llama_layers
from trainer.kernels.fused_layers import use_fused_layers
from trainer.kernels.head_loss import find_plain_head, sum_head_loss
from trainer.kernels.narrow_adapter import use_narrow_adapters
from trainer.kernels.packed_attention import find_row_kernel, use_packed_attention

SAMPLE_TOKENS = 48


class CausalLM:
    """A causal language model, its tokenizer, and the adapter that is trained or applied."""

    def __init__(self, model: Any, tokenizer: TextTokenizer, device: torch.device) -> None:
        self.model, self.tokenizer, self.device = model, tokenizer, device
        self.packs_rows = self.packs_by_bounds = False
        self.encoding_counts = EncodingCounts()

    @classmethod
    def load(cls, source: BaseModelSource, config: TrainingConfig | None = None) -> Self:
        """Load base model and tokenizer on the GPU if there is one, in the precision asked for, else fp32.

        Raises: BadInput.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        folder, model = _load_frozen_model(source, config, device)
        model.name_or_path = source.locate(folder)  # peft writes it into adapter_config.json
        return cls(model.to(device), cls.read_tokenizer(source, folder), device)

    @classmethod
    def read_tokenizer(cls, source: BaseModelSource, folder: Path | None = None) -> TextTokenizer:
        """Read the tokenizer and the text format that rows are encoded by, from prepared weights. Raises: BadInput."""
        return load_text_tokenizer(source, folder or cls.prepare_weights(source))

    @classmethod
    def prepare_weights(cls, source: BaseModelSource) -> Path:
        """Return the model's folder, for a GGUF file the one that it is de-quantized into once."""
        return dequantize_once(source.weights) if source.is_gguf else source.weights

    @classmethod
    def translate_targets(cls, targets: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return the names as they are: transformers has but one for each layer."""
        return None if targets is None else tuple(targets)

    def attach_adapter(self, config: TrainingConfig, default_targets: Sequence[str] | None = None) -> None:
        """Put fresh adapter matrices on the target modules. Draws from torch's generator. Raises: BadInput."""
        self.packs_rows = config.packing and use_packed_attention(self.model, longest_row=config.max_length)
        self.packs_by_bounds = self.packs_rows and find_row_kernel(self.model, self.device)
        dtype = self.model.dtype
        use_fused_layers(self.model, self.device, dtype)
        asked = config.target_modules or default_targets or choose_usual_targets(self.model)
        targets = name_targets(self.model, asked)
        self.model = put_adapter_on(self.model, describe_adapter(config, targets, "CAUSAL_LM"))
        use_narrow_adapters(self.model, self.device, dtype)
        if self.packs_rows:
            use_llama_layers(self.model)

    def recompute_activations(self) -> None:
        """Compute a layer's activations again on the way back instead of keeping them (gradient checkpointing)."""
        base = self.model.base_model.model
        enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
        enable({"use_reentrant": False})

    def compile_blocks(self, **options: Any) -> None:
        """Compile each layer, for batches of any length."""
        for layer in self.model.get_base_model().get_decoder().layers:
            layer.compile(dynamic=True, **options)

    def apply_adapter(self, adapter_config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        """Put a finished adapter on the base model, for inference. Raises: BadInput."""
        check_targets(self.model, list(adapter_config["target_modules"]))
        self.model = put_adapter_on(self.model, peft.PeftConfig.from_peft_type(**adapter_config))
        self.load_adapter_tensors(tensors)
        self.model.eval()

    def encode(self, rows: Iterable[TextRow], *, max_length: int) -> list[EncodedRow]:
        """Encode the rows as the broker's quote counts them: cut at `max_length` and at the model's context.

        A row whose prompt alone is that long has nothing to learn and is left out.

        Raises: BadInput, if nothing is left to learn.
        """
        encode, text_format = self.tokenizer.encode, self.tokenizer.text_format
        max_length = min(max_length, self.model.config.max_position_embeddings)
        encoded = [encode_row(row, text_format, encode, max_length=max_length) for row in rows]
        learnable = [row for row in encoded if row.is_learnable]
        if not learnable:
            raise BadInput("max_length", f"at {max_length} tokens no row has any completion left; raise it")
        cut = sum(row.is_cut for row in learnable)
        self.encoding_counts = EncodingCounts(too_long=len(encoded) - len(learnable), cut=cut)
        return learnable

    def describe_format(self) -> dict[str, Any] | None:
        """Describe the text around rows, which a resumed run goes on with."""
        return self.tokenizer.describe_format()

    def keep_format(self, kept: dict[str, Any]) -> None:
        """Go on with the text around rows that a checkpoint was made with."""
        self.tokenizer = self.tokenizer.with_format(kept)

    def fingerprint(self, examples: Sequence[EncodedRow]) -> str:
        """Compute the SHA-256 of what is trained on, so that a checkpoint is not resumed on other data."""
        digest = hashlib.sha256()
        for row in examples:
            marks = [row.prompt_length, row.token_ids, *([row.unlearnt] if row.unlearnt else [])]
            digest.update(json.dumps(marks).encode())
        return digest.hexdigest()

    def list_sources(self, examples: Sequence[EncodedRow]) -> range:
        """Give each row a number of its own: no row is a copy of another."""
        return range(len(examples))

    def count_positions(self, example: EncodedRow) -> int:
        """Count the tokens of a row."""
        return len(example.token_ids)

    def describe_base_file(self, source: BaseModelSource, sha256: str) -> dict[str, str]:  # noqa: ARG002
        """Return nothing: no other program looks for the base model of a language model's adapter."""
        return {}

    def group(self, examples: Sequence[EncodedRow]) -> tuple[()]:  # noqa: ARG002 - rows of any length go together
        return ()

    def collate(self, examples: Sequence[EncodedRow]) -> TextBatch:
        """Make one batch, packed where the model can do it. Only the tokens of completions are targets."""
        if not self.packs_rows:
            return pad_rows(examples).to(self.device)
        return pack_rows(examples, self.device, by_bounds=self.packs_by_bounds).to(self.device)

    def compute_loss(self, batch: TextBatch) -> torch.Tensor:
        """Compute the mean cross-entropy over the loss tokens of the batch, in nats; zero if it has none."""
        return self._sum_loss(batch) / max(len(batch.targets), 1)

    def _sum_loss(self, batch: TextBatch) -> torch.Tensor:
        base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        weight, decoder = find_plain_head(base), base.get_decoder()
        if weight is not None and decoder is not base:
            hidden = decoder(**batch.model_inputs(), use_cache=False).last_hidden_state
            return sum_head_loss(pick_places(hidden, batch.learnt), weight, batch.targets)
        with _only_rows_into(base.get_output_embeddings(), batch.learnt):
            logits = self.model(**batch.model_inputs(), use_cache=False).logits
        total: torch.Tensor = cross_entropy(logits.float(), batch.targets, reduction="sum")
        return total

    def adapter_tensors(self) -> dict[str, torch.Tensor]:
        tensors = peft.get_peft_model_state_dict(self.model, save_embedding_layers=False)
        return {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}

    def load_adapter_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put the adapter's tensors back. Raises: BadInput, if they are not of this model and rank."""
        if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in self.adapter_tensors().items()}:
            raise BadInput("base_model", "the adapter was made for another base model, rank or target_modules")
        peft.set_peft_model_state_dict(self.model, tensors)

    def adapter_config(self) -> dict[str, Any]:
        described = self.model.peft_config["default"].to_dict()
        described["target_modules"] = sorted(described["target_modules"])
        described["inference_mode"] = True
        return dict(described)

    def sample(self, prompt: str, *, seed: int, place: Path) -> str:  # noqa: ARG002 - greedy, and no file
        return self.complete(prompt, max_new_tokens=SAMPLE_TOKENS)

    @torch.inference_mode()
    def complete(self, prompt: str, *, max_new_tokens: int) -> str:
        """Return the greedy completion of one prompt."""
        row = TextRow(prompt.strip(), "")
        prompt_ids = self.tokenizer.encode_pieces(self.tokenizer.text_format.lay_out_prompt(row))
        input_ids = torch.tensor([prompt_ids], device=self.device)
        self.model.eval()
        generated = self.model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            do_sample=False,
            max_new_tokens=max_new_tokens,
            pad_token_id=0,
        )
        return self.tokenizer.decode(generated[0, len(prompt_ids) :].tolist()).strip()


def _load_frozen_model(
    source: BaseModelSource, config: TrainingConfig | None, device: torch.device
) -> tuple[Path, Any]:
    """Load the model; returns the folder it came from, too (for a GGUF file the de-quantized one)."""
    dtype = choose_dtype(config, device)
    quantization = describe_quantization(config, dtype)
    placing = {} if quantization is None else {"quantization_config": quantization, "device_map": {"": 0}}
    try:
        folder = CausalLM.prepare_weights(source)
        refuse_what_sees(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, use_safetensors=True, **placing
        )
    except (OSError, ValueError) as error:
        raise BadInput("base_model", f"{source.weights} cannot be loaded as a language model: {error}") from error
    return folder, model.requires_grad_(requires_grad=False)


def pick_places(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Pick places that count through all rows. Shapes: [rows, length, width] → [places, width]."""
    return states.flatten(0, 1).index_select(0, places)


@contextmanager
def _only_rows_into(head: torch.nn.Module, learnt: torch.Tensor) -> Iterator[None]:
    """Let only the positions with loss into the output layer: with a large vocabulary it is the dearest one.

    Done at the layer's door, so that whatever a model does to its logits afterwards stays its own.
    """
    hook = head.register_forward_pre_hook(lambda _, inputs: (pick_places(inputs[0], learnt),))
    try:
        yield
    finally:
        hook.remove()
