"""The profile of a Stable Diffusion model as far as memory depends on it: what it computes is not measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from pricing.catalog.profile import NO_COST, BaseModelProfile, Costs
from trainer.profiles.curves import fit_curve
from trainer.profiles.image_components import build_text_encoder, build_vae
from trainer.profiles.image_network import SIZES, build_image_network
from trainer.profiles.image_profile import describe_blocks, describe_captions
from trainer.profiles.measure import measure_bytes
from trainer.profiles.network import count_parameters, list_linear, list_modules

POINTS = SIZES[:3]  # a training waits for it: no fourth point to check the polynomial by


def profile_image_memory(
    configs: Mapping[str, Mapping[str, Any]], name: str, resolution: int, targets: Sequence[str]
) -> BaseModelProfile:
    """Profile the memory of a pipeline in 1 to 4 seconds; FLOPs and launches are 0.

    `configs`: of the UNet, the VAE and each text encoder.
    Raises: NotAPolynomial.
    """
    network = build_image_network(configs["unet"])
    vae = build_vae(configs["vae"])
    encoders = {name: build_text_encoder(config) for name, config in configs.items() if name.startswith("text_encoder")}
    measured = [measure_bytes(network, size, targets) for size in POINTS]
    curves = {cost: fit_curve(POINTS, [point[cost] for point in measured]) for cost in measured[0]}
    rest = {cost: NO_COST for cost, field in Costs.model_fields.items() if field.is_required() and cost not in curves}
    return BaseModelProfile(
        name=name,
        family="stable_diffusion",
        licence="unknown",
        bytes_per_parameter=2,
        resolution=resolution,
        default_target_modules=tuple(targets),
        parameters=network.count_parameters(),
        component_parameters={name: count_parameters(model) for name, model in {"vae": vae, **encoders}.items()},
        modules=network.list_modules(),
        text_modules=list_modules([found for encoder in encoders.values() for found in list_linear(encoder)]),
        costs=Costs(**curves, **rest),
        source="configurations of the model at hand; memory alone",
        **describe_blocks(network.model),
        **describe_captions(encoders.values()),
    )
