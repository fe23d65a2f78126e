"""What fused.py does, as operations of torch: without a C compiler, on a GPU, and for evaluation.

x is (T, batch, n), or (1, batch, n) where `constant`: the same at all steps. n neurons an image, the channel running fastest; vectors are tiled to (n).
"""

import torch


def moments(x, channels):
    """Mean and biased variance of each channel, float32."""
    # var_mean takes several times as long along a few channels.
    mean = x.view(-1, channels).sum(0, dtype=torch.float32) / (x.numel() // channels)
    centred = x.float() - mean.repeat(x.shape[2] // channels)
    return mean, centred.square_().view(-1, channels).mean(0)


def walk(x, steps, constant, scale, shift, neuron, residue=None, membranes=None):
    """Spikes (T, batch, n), in x's type, of the currents x * scale + shift.

    residue: membranes after reset, (batch, n), changed in place. membranes: (T, batch, n) where wanted, written.
    """
    spikes = torch.empty(steps, *x.shape[1:], dtype=x.dtype, device=x.device)
    residue = torch.zeros_like(x[0], dtype=torch.float32) if residue is None else residue
    if constant:
        drive = torch.addcmul(shift, x[0].float(), scale)
    u = torch.empty_like(residue) if membranes is None else None
    for t in range(steps):
        u = membranes[t] if membranes is not None else u
        if not constant:
            drive = torch.addcmul(shift, x[t].float(), scale)
        torch.add(drive, residue, alpha=neuron.tau, out=u)
        fired = u > neuron.threshold
        spikes[t].copy_(fired)
        torch.mul(u, ~fired, out=residue)
    return spikes


def fire(x, steps, constant, scale, shift, neuron):
    """Spikes (T, batch, n), how many there are, and the membranes for `backward`."""
    membranes = torch.empty(steps, *x.shape[1:], device=x.device)
    spikes = walk(x, steps, constant, scale, shift, neuron, membranes=membranes)
    return spikes, spikes.count_nonzero(), membranes


def backward(x, d_spikes, steps, constant, scale, shift, mean, neuron, cost, channels, membranes):
    """Gradient d of the normalised currents, as x, in float32; its sum and the sum of d * (x - mean) over each channel."""
    d = torch.zeros_like(membranes[:1]) if constant else torch.empty_like(membranes)
    later = torch.zeros_like(membranes[0])  # gradient of each membrane one step later
    for t in range(steps - 1, -1, -1):
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
    return d, d.view(-1, channels).sum(0), (d * (x.float() - mean)).view(-1, channels).sum(0)


def adjoint(x, d, scale, mean, constant, slope):
    """d * scale + constant - (x - mean) * slope, in x's type."""
    return torch.addcmul(constant, d, scale).addcmul_(x.float() - mean, slope, value=-1).to(x.dtype)


def time_sum(spikes, coefficients):
    """spikes (T, size), coefficients (T) -> (size) in float32."""
    total = torch.zeros_like(spikes[0], dtype=torch.float32)
    for now, coefficient in zip(spikes, coefficients.tolist()):
        total.add_(now, alpha=coefficient)
    return total


def time_spread(d, coefficients, kind):
    """d: float32 (size), coefficients (T) -> (T, size) of type kind."""
    spread = torch.empty(len(coefficients), d.numel(), dtype=kind, device=d.device)
    for t, coefficient in enumerate(coefficients.tolist()):
        spread[t] = d * coefficient
    return spread
