"""First weights of a network, the same numbers as training/model/parameters.ts draws."""

import numpy as np
import torch

import philox


def initialize(network, seed, norms):
    """PyTorch's default, uniform within 1 / sqrt(fan-in), from sequences of the seed; norms: types of modules that stay as they are."""
    kept = {parameter for module in network.modules() if isinstance(module, norms) for parameter in module.parameters()}
    with torch.no_grad():
        for index, (name, parameter) in enumerate(network.named_parameters()):
            if parameter in kept:
                continue
            if name.endswith(".weight"):
                # As PyTorch counts it, the weight's second size, also in transposed convolutions.
                bound = 1 / np.sqrt(parameter[0].numel())
            values = bound * (2 * philox.uniform(seed, "weights", index, parameter.numel()) - 1)
            parameter.copy_(torch.from_numpy(values).view(parameter.shape))
