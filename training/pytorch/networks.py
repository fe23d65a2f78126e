"""Networks by kind, as training/train/networks.ts makes them."""

import torch

from baselines import Autoencoder, Vae
from errors import FsvaeError
from model import Fsvae


def create_network(config, batches_per_epoch, product=torch.float32):
    """Weights are not drawn yet. product: type of an FSVAE's products."""
    if config["kind"] == "fsvae":
        return Fsvae(config, product)
    if product != torch.float32:
        raise FsvaeError("usage", f"--bf16 is for an FSVAE, not for kind {config['kind']}: leave it out")
    return Vae(config, batches_per_epoch) if config["kind"] == "vae" else Autoencoder(config)
