"""The shape and costs of an image model, from the configurations of its components."""

from collections.abc import Mapping, Sequence
from typing import Any

from pricing.catalog.profile import Family
from trainer.profiles.image_components import (
    build_text_encoder,
    build_vae,
    caption_tokens,
    count_encoding_launches,
    count_text_flops,
    count_text_launches,
    measure_encoding,
)
from trainer.profiles.image_network import FLUX_TOKENS, LONGEST_CAPTIONS, build_image_network
from trainer.profiles.measure import measure_costs
from trainer.profiles.network import count_parameters, list_linear, list_modules

Components = Mapping[str, Mapping[str, Any]]  # component of a diffusers folder → its config.json
TRAINED, VAE, TEXT_ENCODERS = ("unet", "transformer"), "vae", ("text_encoder", "text_encoder_2", "text_encoder_3")


def describe_image_model(components: Components, family: Family, targets: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a profile that the architecture gives. Raises: NotAPolynomial."""
    trained = next(components[name] for name in TRAINED if name in components)
    network, longest = build_image_network(trained), LONGEST_CAPTIONS.get(trained["_class_name"], FLUX_TOKENS)
    vae = build_vae(components[VAE])
    encoders = {name: build_text_encoder(components[name]) for name in TEXT_ENCODERS if name in components}
    text_launches = count_text_launches(encoders.values())
    costs = measure_costs(network, targets).model_copy(
        update={
            "encode_flops": measure_encoding(vae),
            "text_flops": float(count_text_flops(encoders.values(), longest)),
            "encoding_launches": float(count_encoding_launches(vae) + text_launches),
            "text_launches": float(text_launches),
            "encodes_in_32_bit": bool(components[VAE].get("force_upcast")),
        }
    )
    trained_encoders = encoders if family == "stable_diffusion" else {}
    return {
        "parameters": network.count_parameters(),
        "component_parameters": {name: count_parameters(model) for name, model in {VAE: vae, **encoders}.items()},
        "modules": network.list_modules(),
        "text_modules": list_modules(
            [found for encoder in trained_encoders.values() for found in list_linear(encoder)]
        ),
        "costs": costs,
        **describe_blocks(network.model),
        **describe_captions(encoders.values(), longest),
    }


def describe_blocks(model: Any) -> dict[str, int]:
    blocks = [module for module in model.modules() if type(module).__name__.endswith("TransformerBlock")]
    return {"layers": len(blocks)}


def describe_captions(encoders: Any, longest: int = FLUX_TOKENS) -> dict[str, int]:
    tokens, vocabulary = max((caption_tokens(each.config, longest), each.config.vocab_size) for each in encoders)
    return {"vocabulary": vocabulary, "context_length": tokens}
