"""The networks without spikes, under the names of their authors' state_dicts, computed as training/baselines/ computes them."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import philox
from weights import initialize


class Convolution(nn.Conv2d):
    """Kernel 3, stride 2. BatchNorm follows and subtracts the bias again: only its running mean must know of it.

    A gradient of the bias would be rounding alone, which AdamW makes steps of.
    """

    def __init__(self, into, out):
        super().__init__(into, out, 3, 2, 1)

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias.detach(), 2, 1)


class TransposedConvolution(nn.ConvTranspose2d):
    """As Convolution, doubling the side."""

    def __init__(self, into, out):
        super().__init__(into, out, 3, 2, 1, 1)

    def forward(self, x):
        return F.conv_transpose2d(x, self.weight, self.bias.detach(), 2, 1, 1)


def normalised(convolution):
    return convolution, nn.BatchNorm2d(convolution.out_channels), nn.LeakyReLU()


class Baseline(nn.Module):
    """config: the whole training config. latent: names of the fully connected layers after the encoder."""

    def __init__(self, config, latent):
        super().__init__()
        shape, self.seed, self.latent = config["model"], config["seed"], latent
        hidden, c = shape["hiddenChannels"], shape["latentChannels"]
        self.side = shape["imageSize"] >> len(hidden)
        bottom = hidden[-1] * self.side**2
        widths = [shape["channels"], *hidden]
        self.encoder = nn.Sequential(*(nn.Sequential(*normalised(Convolution(*pair))) for pair in zip(widths, hidden)))
        for name in latent:
            self.add_module(name, nn.Linear(bottom, c))
        self.decoder_input = nn.Linear(c, bottom)
        down = hidden[::-1]
        self.decoder = nn.Sequential(*(nn.Sequential(*normalised(TransposedConvolution(*pair))) for pair in zip(down, down[1:])))
        last = TransposedConvolution(hidden[0], hidden[0])
        self.final_layer = nn.Sequential(*normalised(last), nn.ConvTranspose2d(hidden[0], shape["channels"], 3, padding=1), nn.Tanh())
        self.outputs = {}
        for name, module in self.named_modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                module.register_forward_hook(self.keep(name))

    def keep(self, name):
        """For `suspects`: no copy, the step's gradient needs it as well."""
        return lambda _module, _inputs, output: self.outputs.__setitem__(name, output.detach())

    def initialize(self, seed):
        initialize(self, seed, nn.BatchNorm2d)

    def encode(self, images):
        """images (batch, channels, size, size) in -1 .. 1 -> features (batch, C) of each latent layer."""
        x = self.encoder(images.contiguous(memory_format=torch.channels_last)).flatten(1)
        return [getattr(self, name)(x) for name in self.latent]

    def decode(self, latent):
        """(batch, C) -> images (batch, channels, size, size) in -1 .. 1."""
        maps = self.decoder_input(latent).view(len(latent), -1, self.side, self.side)
        return self.final_layer(self.decoder(maps.contiguous(memory_format=torch.channels_last)))

    def suspects(self):
        """Names of what may not be finite, in order, and the numbers that show it: of the last step."""
        return [(f"the outputs of {name}", output) for name, output in self.outputs.items()]


class Vae(Baseline):
    """The ANN VAE of the paper's Table 1."""

    def __init__(self, config, batches_per_epoch):
        """The divergence weighs 1 / batches per epoch, as in the authors' code."""
        super().__init__(config, ["fc_mu", "fc_var"])
        self.kl_weight = 1 / batches_per_epoch

    def step(self, images, epoch, step):
        """Losses of a training step, counted from 0: a dictionary with loss, total, mse, and distance, the KL divergence."""
        mean, log_variance = self.encode(images)
        drawn = philox.normal(self.seed, "posterior", step, mean.numel()).astype(np.float32)
        noise = torch.from_numpy(drawn).view(mean.shape).to(mean.device)
        mse = F.mse_loss(self.decode(mean + torch.exp(0.5 * log_variance) * noise), images)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
        loss = mse + self.kl_weight * divergence
        return dict(loss=loss, total=loss.detach(), mse=mse, distance=divergence)


class Autoencoder(Baseline):
    """In whose latent the Fréchet distance is measured."""

    def __init__(self, config):
        super().__init__(config, ["latent_layer"])

    def step(self, images, epoch, step):
        [latent] = self.encode(images)
        mse = F.mse_loss(self.decode(latent), images)
        return dict(loss=mse, total=mse.detach(), mse=mse)
