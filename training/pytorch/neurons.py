"""tdBN and LIF neurons over all time steps at once: one autograd function, forward and backward.

A layer's currents are one tensor, time first: (T * batch, C) or (T * batch, C, H, W) in channels_last memory. In both the
channel runs fastest, so step t is one contiguous block, and a per-channel factor is a vector tiled over the pixels.
"""

from typing import NamedTuple

import torch

import fused

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


def lif(x, scale, shift, steps, constant, neuron, residue=None, membranes=None):
    """Spikes of the currents x * scale + shift.

    x: T * batch images, or batch images where `constant`: the same current at all steps. scale, shift: (C). residue: membranes
    after reset, (batch, neurons per image), changed in place. membranes: (T, batch, neurons per image) where wanted, written.
    Returns spikes, 0 or 1 in x's type, T * batch images.
    """
    currents = steps_of(x, steps, constant)
    tiled = currents.shape[2] // scale.numel()
    scale, shift = scale.repeat(tiled), shift.repeat(tiled)
    spikes = torch.empty(steps, *currents.shape[1:], dtype=x.dtype, device=x.device)
    residue = torch.zeros_like(currents[0], dtype=torch.float32) if residue is None else residue
    if constant:
        drive = torch.addcmul(shift, currents[0].float(), scale)
    u = torch.empty_like(residue) if membranes is None else None
    for t in range(steps):
        u = membranes[t] if membranes is not None else u
        if not constant:
            drive = torch.addcmul(shift, currents[t].float(), scale)
        torch.add(drive, residue, alpha=neuron.tau, out=u)
        fired = u > neuron.threshold
        spikes[t].copy_(fired)
        torch.mul(u, ~fired, out=residue)
    return like(spikes, x, steps * currents.shape[1])


class SpikingFunction(torch.autograd.Function):
    """tdBN with batch statistics, then LIF. Backward goes through the reset path too, as in the authors' code."""

    @staticmethod
    def forward(ctx, x, gamma, beta, gain, steps, constant, neuron, cost):
        """gain: alpha * threshold; cost: added to the gradient of every spike.

        Returns spikes, batch mean and variance (biased), and how many spikes there are.
        """
        currents = steps_of(x, steps, constant)
        channels = x.shape[1]
        ctx.fused = fused.available(x)
        # Vectors are tiled over the pixels: a broadcast along a few channels takes several times as long, as does var_mean.
        tiled = currents.shape[2] // channels
        if ctx.fused:
            currents = currents.contiguous()
            mean, variance = fused.moments(currents, channels)
        else:
            mean = currents.view(-1, channels).sum(0, dtype=torch.float32) / (x.numel() // channels)
            centred = currents.float() - mean.repeat(tiled)
            variance = centred.square_().view(-1, channels).mean(0)
        inverse = torch.rsqrt(variance + EPSILON)
        scale = gain * gamma * inverse
        shift = beta - scale * mean
        if ctx.fused:
            spikes, count = fused.fire(currents, steps, constant, scale.repeat(tiled), shift.repeat(tiled), neuron)
            spikes, count = like(spikes, x, steps * currents.shape[1]), torch.tensor(count)
            membranes = None  # computed again in backward
        else:
            membranes = torch.empty(steps, *currents.shape[1:], device=x.device)
            spikes = lif(x, scale, shift, steps, constant, neuron, membranes=membranes)
            count = spikes.count_nonzero()
        ctx.save_for_backward(x, membranes, mean, inverse, scale, shift)
        ctx.options = gain, steps, constant, neuron, cost
        ctx.mark_non_differentiable(mean, variance, count)
        return spikes, mean, variance, count

    @staticmethod
    def backward(ctx, d_spikes, _mean, _variance, _count):
        x, membranes, mean, inverse, scale, shift = ctx.saved_tensors
        gain, steps, constant, neuron, cost = ctx.options
        channels = x.shape[1]
        currents = steps_of(x, steps, constant)
        tiled = currents.shape[2] // channels
        scale_, mean_ = scale.repeat(tiled), mean.repeat(tiled)
        d_spikes = rows_of(d_spikes).reshape(steps, *currents.shape[1:])
        if ctx.fused:
            currents, d_spikes = currents.contiguous(), d_spikes.to(x.dtype).contiguous()
            d, d_beta, d_centred = fused.backward(
                currents, d_spikes, steps, constant, scale_, shift.repeat(tiled), mean_, neuron, cost, channels
            )
        else:
            d = membrane_gradient(d_spikes, membranes, constant, neuron, cost)
            centred = currents.float() - mean_
            d_beta = d.view(-1, channels).sum(0)
            d_centred = (d * centred).view(-1, channels).sum(0)
        d_normalised = d_centred * inverse
        # tdBN's adjoint: the mean and the part along the normalised input do not pass.
        count = x.numel() // channels
        level = (-d_beta * scale / count).repeat(tiled)
        slope = (d_normalised * inverse * scale / count).repeat(tiled)
        if ctx.fused:
            d = fused.adjoint(currents, d, scale_, mean_, level, slope)
        else:
            d = torch.addcmul(level, d, scale_).addcmul_(centred, slope, value=-1)
        return like(d, x, x.shape[0]).to(x.dtype), gain * d_normalised, d_beta, None, None, None, None, None


def membrane_gradient(d_spikes, membranes, constant, neuron, cost):
    """Gradient of the normalised currents: (T, batch, neurons per image), or their sum over T where `constant`, (1, ...)."""
    d = torch.zeros_like(membranes[:1]) if constant else torch.empty_like(membranes)
    later = torch.zeros_like(membranes[0])  # gradient of each membrane one step later
    for t in range(len(membranes) - 1, -1, -1):
        u = membranes[t]
        through = later * neuron.tau
        d_spike = torch.addcmul(d_spikes[t].float(), through, u, value=-1)
        if cost:
            d_spike += cost
        window = u.abs() if neuron.centre == 0 else (u - neuron.centre).abs()
        d_spike *= window < neuron.half_width
        through *= u <= neuron.threshold
        later = through.add_(d_spike, alpha=neuron.height)
        if constant:
            d[0] += later
        else:
            d[t] = later
    return d


def weighted_time_sum(spikes, coefficients):
    """Sum over t of coefficients[t] * spikes[t]: the output membrane of neurons that never fire (paper eq. 21), in float32."""
    return _WeightedTimeSum.apply(spikes, coefficients)


class _WeightedTimeSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, spikes, coefficients):
        steps = coefficients.numel()
        ctx.coefficients, ctx.type, ctx.fused = coefficients, spikes.dtype, fused.available(spikes)
        if ctx.fused:
            total = fused.time_sum(rows_of(spikes).reshape(steps, -1), coefficients)
            return like(total, spikes, spikes.shape[0] // steps)
        maps = spikes.view(steps, -1, *spikes.shape[1:])
        total = torch.zeros_like(maps[0], dtype=torch.float32)
        for t in range(steps):
            total.add_(maps[t], alpha=float(coefficients[t]))
        return total

    @staticmethod
    def backward(ctx, d):
        # Strided like the maps, time first: one block for each step.
        rows, steps = rows_of(d), ctx.coefficients.numel()
        if ctx.fused:
            return like(fused.time_spread(rows.reshape(-1), ctx.coefficients, ctx.type), d, steps * d.shape[0]), None
        spread = torch.empty(steps, *rows.shape, dtype=ctx.type, device=d.device)
        for t, coefficient in enumerate(ctx.coefficients.tolist()):
            spread[t] = rows * coefficient
        return like(spread, d, steps * d.shape[0]), None
