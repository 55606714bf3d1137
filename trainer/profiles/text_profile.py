"""The shape and costs of a causal language model, from its configuration alone."""

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pricing.catalog.profile import Costs, Curve
from trainer.profiles.measure import measure_costs
from trainer.profiles.network import Network
from trainer.profiles.text_network import build_text_network

# The first and the last layer may differ from those between (nothing below the first needs a gradient).
FEW_LAYERS, ONE_MORE = 2, 3


def describe_text_network(network: Network, targets: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a profile that the architecture gives. Raises: NotAPolynomial."""
    return describe_shape(network) | {"costs": measure_by_layer(network, targets)}


def describe_shape(network: Network) -> dict[str, Any]:
    config = network.model.config
    return {
        "parameters": network.count_parameters(),
        "layers": config.num_hidden_layers,
        "vocabulary": config.vocab_size,
        "context_length": config.max_position_embeddings,
        "caps_logits": getattr(config, "final_logit_softcapping", None) is not None,
        "head_width": getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        "modules": network.list_modules(),
    }


def measure_by_layer(network: Network, targets: Sequence[str]) -> Costs:
    """Extend the costs of two and of three layers to the whole model, where all its layers are alike."""
    config = network.model.config
    if config.num_hidden_layers <= ONE_MORE or not _has_equal_layers(network):
        return measure_costs(network, targets)
    cut = (build_text_network(_cut(config, depth), network.sizes) for depth in (FEW_LAYERS, ONE_MORE))
    few, more = (measure_costs(part, targets) for part in cut)
    return _extend(few, more, config.num_hidden_layers - ONE_MORE)


def _has_equal_layers(network: Network) -> bool:
    """Tell whether every shape of module stands in each layer equally often."""
    layers = network.model.config.num_hidden_layers
    counts = Counter((layer.in_features, layer.out_features) for layer in network.list_layers())
    return all(count % layers == 0 for count in counts.values())


def _cut(config: Any, depth: int) -> Any:
    cut = copy.deepcopy(config)
    kinds = getattr(config, "layer_types", None)
    if kinds:
        cut.layer_types = kinds[:depth]
    cut.num_hidden_layers = depth
    return cut


def _extend(few: Costs, more: Costs, further_layers: int) -> Costs:
    """Add the difference that one layer makes as often as there are further layers; one layer's own bytes stay."""
    extended = {
        name: _extend_curve(getattr(few, name), getattr(more, name), further_layers)
        for name in Costs.model_fields
        if name != "layer_bytes" and isinstance(getattr(more, name), Curve)
    }
    return more.model_copy(update=extended)


def _extend_curve(few: Curve, more: Curve, times: int) -> Curve:
    def extend(name: str) -> float:
        last: float = getattr(more, name)
        return last + times * (last - getattr(few, name))

    return Curve(constant=extend("constant"), linear=extend("linear"), quadratic=extend("quadratic"))
