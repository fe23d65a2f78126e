"""The Fully Spiking VAE under the names of its authors' state_dict, computed as training/model/fsvae.ts computes it.

Time is folded into the batch: tensors are (T * batch, ...), time first. The first convolution sees the same image at all steps
and runs once; the readout is linear up to its tanh, so spikes are summed over time first.
"""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import philox
from config import time_steps_of
from neurons import EPSILON, MOMENTUM, Neuron, SpikingFunction, lif, weighted_time_sum
from synapses import convolution, linear, transposed_convolution
from weights import initialize

# Scheduled sampling compares the mean of the k outputs, plus a little noise that settles ties, with one half.
NOISE = 1e-3
KLD_EPSILON, KLD_WEIGHT = 0.01, 1e-4


class BatchNorm(nn.Module):
    """tdBN's tensors."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))


class SpikingLayer(nn.Module):
    """Synapses, tdBN and LIF neurons. `spikes` is how many the last pass gave."""

    def __init__(self, synapses, shape, outputs, neuron, alpha=1, first=False):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.bn = BatchNorm(outputs)
        self.synapses, self.neuron, self.constant = synapses, neuron, first
        self.gain = alpha * neuron.threshold
        self.spikes = 0

    def forward(self, x, steps, residue=None, cost=0.0):
        """x: (T * batch, ...), or (batch, ...) for the first layer. residue: see `lif`; evaluation only."""
        # The bias is left out: tdBN subtracts it again. Only the running mean must know of it.
        current, bn = self.synapses(x, self.weight), self.bn
        if self.training:
            arguments = bn.weight, bn.bias, self.gain, steps, self.constant, self.neuron, cost
            spikes, mean, variance, self.spikes = SpikingFunction.apply(current, *arguments)
            with torch.no_grad():
                count = current.numel() // current.shape[1] * (steps if self.constant else 1)
                bn.running_mean.lerp_(mean + self.bias, MOMENTUM)
                bn.running_var.lerp_(variance * (count / (count - 1)), MOMENTUM)
                bn.num_batches_tracked += 1
        else:
            scale = self.gain * bn.weight * torch.rsqrt(bn.running_var + EPSILON)
            shift = bn.bias - scale * (bn.running_mean - self.bias)
            spikes = lif(current, scale, shift, steps, self.constant, self.neuron, residue)
            self.spikes = spikes.count_nonzero()
        return spikes


class Chain(nn.Module):
    """Prior or posterior: three fully connected layers."""

    def __init__(self, sizes, channels, neuron):
        super().__init__()
        pairs = zip(sizes, sizes[1:])
        self.layers = nn.ModuleList(SpikingLayer(linear, (out, into), out, neuron, alpha=2) for into, out in pairs)
        self.register_buffer("initial_input", torch.zeros(1, channels, 1))

    def forward(self, x, steps, residues=None, cost=0.0):
        for i, layer in enumerate(self.layers):
            x = layer(x, steps, None if residues is None else residues[i], cost)
        return x

    def residues(self, batch):
        """Membranes for going step by step."""
        return [torch.zeros(batch, layer.bias.numel(), device=layer.bias.device) for layer in self.layers]


class Readout(nn.Module):
    """Transposed convolution k3 s1 p1 without tdBN or neurons."""

    def __init__(self, into, out):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(into, out, 3, 3, 1))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, summed, total):
        """total: of the coefficients with which the maps were summed over time; the bias counts at each step."""
        # The adjoint with stride 1 is a convolution with the filter turned round.
        weight = self.weight.squeeze(-1).flip(2, 3).transpose(0, 1)
        return F.conv2d(summed, weight, self.bias * total, padding=1)


class Coefficients(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.register_buffer("coef", torch.pow(0.8, torch.arange(steps - 1, -1, -1))[None, None, None, None, :])


class Draws:
    """What chance decides in a training step, the same numbers as training/model/draws.ts."""

    def __init__(self, config, epoch, step, batch, steps):
        seed, c = config["seed"], config["model"]["latentChannels"]
        self.seed, self.step, self.batch, self.channels = seed, step, batch, c
        self.choices = choices(seed, "posterior", step, (steps, batch, c), config["model"]["choices"])
        self.replaced = [False] * steps
        scheduled = config["scheduledSampling"]
        if scheduled is not None:
            chance = scheduled["from"] + (scheduled["to"] - scheduled["from"]) * epoch / config["epochs"]
            coins = philox.uniform(seed, "scheduling", step, steps) < chance
            self.replaced = [t >= scheduled["firstStep"] and bool(coin) for t, coin in enumerate(coins)]

    def noise(self, t):
        """float32 (batch, C)."""
        numbers = philox.normal(self.seed, "noise", self.step * 32 + t, self.batch * self.channels)
        return torch.from_numpy(numbers.astype(np.float32).reshape(self.batch, self.channels))


def choices(seed, purpose, occasion, shape, k):
    """int64, each 0 .. k - 1, drawn in C order."""
    return torch.from_numpy(philox.below(seed, purpose, occasion, int(np.prod(shape)), k).reshape(shape))


class Fsvae(nn.Module):
    """config: the whole training config. `product`: type of the products, torch.float32 or torch.bfloat16."""

    def __init__(self, config, product=torch.float32):
        super().__init__()
        shape, neuron = config["model"], Neuron.of(config["neuron"])
        hidden, c, k = shape["hiddenChannels"], shape["latentChannels"], shape["choices"]
        self.k, self.c, self.side = k, c, shape["imageSize"] >> len(hidden)
        self.config = config
        self.product, self.kind, self.cost = product, config["loss"]["distance"], config["loss"]["spikeCost"]
        bottom = hidden[-1] * self.side**2
        widths = [shape["channels"], *hidden]
        self.encoder = nn.ModuleList(
            SpikingLayer(convolution, (out, into, 3, 3, 1), out, neuron, first=i == 0)
            for i, (into, out) in enumerate(zip(widths, hidden))
        )
        self.before_latent_layer = SpikingLayer(linear, (c, bottom), c, neuron)
        self.prior = Chain([c, 2 * c, 4 * c, k * c], c, neuron)
        self.posterior = Chain([2 * c, 2 * c, 4 * c, k * c], c, neuron)
        self.decoder_input = SpikingLayer(linear, (bottom, c), bottom, neuron)
        down = hidden[::-1]

        def up(into, out):
            return SpikingLayer(transposed_convolution, (into, out, 3, 3, 1), out, neuron)

        self.decoder = nn.ModuleList(up(into, out) for into, out in zip(down, down[1:]))
        self.final_layer = nn.ModuleList([up(hidden[0], hidden[0]), Readout(hidden[0], shape["channels"])])
        self.membrane_output_layer = Coefficients(shape["timeSteps"])

    def initialize(self, seed):
        initialize(self, seed, BatchNorm)

    def step(self, images, epoch, step):
        """Losses of a training step, epoch and step counted from 0: what forward gives, and timeSteps."""
        steps = time_steps_of(self.config, epoch)
        draws = Draws(self.config, epoch, step, len(images), steps)
        return {**self(images, draws, steps), "timeSteps": steps}

    def suspects(self):
        """Names of what may not be finite, in order, and the numbers that show it."""
        for name, module in self.named_modules():
            if isinstance(module, SpikingLayer):
                yield f"the currents of {name}", module.bn.running_var

    def generator(self):
        """Layers that a device runs, by name."""
        named = dict(self.named_modules())
        layers = [name for name, module in named.items() if isinstance(module, SpikingLayer)]
        return {name: named[name] for name in layers if name.split(".")[0] in ("prior", "decoder_input", "decoder", "final_layer")}

    def encode(self, images, steps):
        """images (batch, channels, size, size) in -1 .. 1 -> spikes (T * batch, C)."""
        # The only input that is no spike stays float32; what follows takes the type of its spikes.
        x = self.encoder[0](images.contiguous(memory_format=torch.channels_last), steps).to(self.product)
        for layer in self.encoder[1:]:
            x = layer(x, steps)
        return self.before_latent_layer(x.reshape(x.shape[0], -1), steps)

    def pick(self, outputs, chosen):
        """outputs (rows, k * C), chosen (rows, C) -> the picked spikes (rows, C)."""
        return outputs.view(-1, self.c, self.k).gather(2, chosen.view(-1, self.c, 1)).squeeze(2)

    def posterior_input(self, latent, chosen, steps):
        """concat(x_E[t], z[t-1]), (T * batch, 2 C), without gradient through z.

        z is found step by step: in training each time by a pass over all steps so far with their batch statistics, as in the
        authors' code; in evaluation step after step.
        """
        batch = latent.shape[0] // steps
        before = torch.zeros_like(latent)
        with torch.no_grad():
            residues = None if self.training else self.posterior.residues(batch)
            for t in range(steps - 1):
                rows = slice(0 if self.training else t * batch, (t + 1) * batch)
                found = torch.cat([latent[rows].detach(), before[rows]], 1)
                outputs = self.posterior(found, t + 1 if self.training else 1, residues)[-batch:]
                before[(t + 1) * batch : (t + 2) * batch] = self.pick(outputs, chosen[t])
        return torch.cat([latent, before], 1)

    def prior_input(self, z, draws, steps):
        """z[t-1], or where scheduled sampling says so the prior's own guess; (T * batch, C), without gradient."""
        batch = z.shape[0] // steps
        before = torch.cat([torch.zeros_like(z[:batch]), z[:-batch].detach()])
        with torch.no_grad():
            for t in range(steps - 1):
                if self.training and draws.replaced[t]:
                    outputs = self.prior(before[: (t + 1) * batch], t + 1)[-batch:]
                    mean = outputs.view(batch, self.c, self.k).float().mean(2)
                    guess = mean + NOISE * draws.noise(t).to(mean.device) > 0.5
                    before[(t + 1) * batch : (t + 2) * batch] = guess.to(before.dtype)
        return before

    def decode(self, z, steps):
        """z (T * batch, C) -> images (batch, channels, size, size) in -1 .. 1."""
        cost = self.cost / (z.shape[0] // steps)
        x = self.decoder_input(z, steps, cost=cost)
        x = x.view(z.shape[0], -1, self.side, self.side).contiguous(memory_format=torch.channels_last)
        for layer in [*self.decoder, self.final_layer[0]]:
            x = layer(x, steps, cost=cost)
        coefficients = torch.pow(0.8, torch.arange(steps - 1, -1, -1))
        summed = weighted_time_sum(x, coefficients)
        return torch.tanh(self.final_layer[1](summed, float(coefficients.sum())))

    def forward(self, images, draws, steps):
        """Losses and what they come from: a dictionary with loss, mse, distance, spikes (per image), images, z, q, p."""
        batch = images.shape[0]
        chosen = draws.choices.to(images.device)
        outputs = self.posterior(self.posterior_input(self.encode(images, steps), chosen, steps), steps)
        z = self.pick(outputs, chosen)
        prior_outputs = self.prior(self.prior_input(z, draws, steps), steps, cost=self.cost / batch)
        q, p = (o.view(steps, batch, self.c, self.k).float().mean(3) for o in (outputs, prior_outputs))
        made = self.decode(z, steps)
        mse = F.mse_loss(made, images)
        apart, weight = distance(self.kind, q, p)
        spikes = sum(layer.spikes for layer in self.generator().values()) / batch
        loss = mse + weight * apart
        found = dict(loss=loss, mse=mse, distance=apart, spikes=spikes, images=made, z=z.view(steps, batch, self.c), q=q, p=p)
        # The neurons' backward adds the cost's gradient; the value is for the log.
        return {**found, "total": loss.detach() + self.cost * spikes}

    @torch.no_grad()
    def sample(self, chosen):
        """chosen (T, count, C) -> images and z (T, count, C), in evaluation mode."""
        steps, count, _ = chosen.shape
        residues = self.prior.residues(count)
        before = torch.zeros(count, self.c, device=self.prior.initial_input.device, dtype=self.product)
        z = []
        for t in range(steps):
            before = self.pick(self.prior(before, 1, residues), chosen[t].to(before.device))
            z.append(before)
        z = torch.stack(z)
        return self.decode(z.view(-1, self.c), steps), z


def distance(kind, q, p):
    """Between posterior and prior, (T, batch, C) each, as the authors' code reports it; and its weight in the loss."""
    if kind == "kld":
        e = KLD_EPSILON
        terms = q * torch.log((q + e) / (p + e)) + (1 - q) * torch.log((1 - q + e) / (1 - p + e))
        return terms.sum(dim=(0, 2)).mean(), KLD_WEIGHT
    difference = q - p
    if kind == "mmd":
        return (difference**2).mean(), 1
    # PSP[t] = PSP[t-1] + (z[t] - PSP[t-1]) / 2, linear: of the difference.
    potential, total = torch.zeros_like(difference[0]), 0
    for now in difference:
        potential = potential + (now - potential) / 2
        total = total + (potential**2).sum()
    return total / difference.numel(), 1
