"""tdBN and LIF neurons over all time steps at once: one autograd function, forward and backward.

A layer's currents are one tensor, time first: (T * batch, C) or (T * batch, C, H, W) in channels_last memory. In both the
channel runs fastest, so step t is one contiguous block, and a per-channel factor is a vector tiled over the pixels.
"""

from typing import NamedTuple

import torch

import fused
import separate

EPSILON = 1e-5
MOMENTUM = 0.1


class Neuron(NamedTuple):
    """Paper eq. 1 to 4; the surrogate derivative of a spike is `height` where abs(u - centre) < half_width, else 0."""

    tau: float
    threshold: float
    centre: float
    half_width: float
    height: float

    @classmethod
    def of(cls, config):
        """config: the section `neuron` of the training config."""
        centre = 0.0 if config["surrogate"] == "authors" else config["threshold"]
        return cls(config["tau"], config["threshold"], centre, config["width"] / 2, 1 / config["width"])


def rows_of(x):
    """(rows, C) view with the channel last, of (N, C) or of a channels_last (N, C, H, W)."""
    return x if x.dim() == 2 else x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def like(flat, x, images):
    """What `rows_of` came from: flat numbers as a tensor of x's kind with so many images."""
    if x.dim() == 2:
        return flat.view(images, x.shape[1])
    return flat.view(images, x.shape[2], x.shape[3], x.shape[1]).permute(0, 3, 1, 2)


def steps_of(x, steps, constant):
    """(T, batch, neurons per image) view of currents or spikes; one step where they are the same at all of them."""
    return rows_of(x).reshape(1 if constant else steps, -1, x[0].numel())


def lif(x, scale, shift, steps, constant, neuron, residue=None):
    """Spikes of the currents x * scale + shift.

    x: T * batch images, or batch images where `constant`: the same current at all steps. scale, shift: (C). residue: membranes
    after reset, (batch, neurons per image), changed in place. Returns spikes, 0 or 1 in x's type, T * batch images.
    """
    currents = steps_of(x, steps, constant)
    tiled = currents.shape[2] // scale.numel()
    spikes = separate.walk(currents, steps, constant, scale.repeat(tiled), shift.repeat(tiled), neuron, residue)
    return like(spikes, x, steps * currents.shape[1])


def operations(x):
    """The module that computes with tensors like x."""
    return fused if fused.available(x) else separate


class SpikingFunction(torch.autograd.Function):
    """tdBN with batch statistics, then LIF. Backward goes through the reset path too, as in the authors' code."""

    @staticmethod
    def forward(ctx, x, gamma, beta, gain, steps, constant, neuron, cost):
        """gain: alpha * threshold; cost: added to the gradient of every spike.

        Returns spikes, batch mean and variance (biased), and how many spikes there are.
        """
        currents = steps_of(x, steps, constant).contiguous()
        channels = x.shape[1]
        mean, variance = operations(x).moments(currents, channels)
        inverse = torch.rsqrt(variance + EPSILON)
        scale = gain * gamma * inverse
        shift = beta - scale * mean
        # Vectors are tiled over the pixels: a broadcast along a few channels takes several times as long.
        tiled = currents.shape[2] // channels
        spikes, count, kept = operations(x).fire(currents, steps, constant, scale.repeat(tiled), shift.repeat(tiled), neuron)
        ctx.save_for_backward(x, kept, mean, inverse, scale, shift)
        ctx.options = gain, steps, constant, neuron, cost
        ctx.mark_non_differentiable(mean, variance, count)
        return like(spikes, x, steps * currents.shape[1]), mean, variance, count

    @staticmethod
    def backward(ctx, d_spikes, _mean, _variance, _count):
        x, kept, mean, inverse, scale, shift = ctx.saved_tensors
        gain, steps, constant, neuron, cost = ctx.options
        currents = steps_of(x, steps, constant).contiguous()
        channels = x.shape[1]
        tiled = currents.shape[2] // channels
        tiled_scale, tiled_mean = scale.repeat(tiled), mean.repeat(tiled)
        d_spikes = rows_of(d_spikes).reshape(steps, *currents.shape[1:]).to(x.dtype).contiguous()
        d, d_beta, d_centred = operations(x).backward(
            currents, d_spikes, steps, constant, tiled_scale, shift.repeat(tiled), tiled_mean, neuron, cost, channels, kept
        )
        d_normalised = d_centred * inverse
        # tdBN's adjoint: the mean and the part along the normalised input do not pass.
        count = x.numel() // channels
        level = (-d_beta * scale / count).repeat(tiled)
        slope = (d_normalised * inverse * scale / count).repeat(tiled)
        dx = operations(x).adjoint(currents, d, tiled_scale, tiled_mean, level, slope)
        return like(dx, x, x.shape[0]), gain * d_normalised, d_beta, None, None, None, None, None


def weighted_time_sum(spikes, coefficients):
    """Sum over t of coefficients[t] * spikes[t]: the output membrane of neurons that never fire (paper eq. 21), in float32."""
    return _WeightedTimeSum.apply(spikes, coefficients)


class _WeightedTimeSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, spikes, coefficients):
        steps = coefficients.numel()
        ctx.coefficients, ctx.operations, ctx.type = coefficients, operations(spikes), spikes.dtype
        total = ctx.operations.time_sum(rows_of(spikes).reshape(steps, -1), coefficients)
        return like(total, spikes, spikes.shape[0] // steps)

    @staticmethod
    def backward(ctx, d):
        spread = ctx.operations.time_spread(rows_of(d).reshape(-1), ctx.coefficients, ctx.type)
        return like(spread, d, len(spread) * d.shape[0]), None
