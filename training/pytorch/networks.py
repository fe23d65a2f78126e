"""Networks by kind, as training/train/networks.ts makes them."""

import torch

from baselines import Autoencoder, Vae
from errors import FsvaeError
from model import Fsvae


def create_network(config, batches_per_epoch, product=torch.float32):
    """Weights are not drawn yet. product: type of an FSVAE's products."""
    if product != torch.float32 and config["kind"] != "fsvae":
        raise FsvaeError("usage", f"--bf16 is for an FSVAE, not for kind {config['kind']}: leave it out")
    if product != torch.float32 and int(torch.__version__.split(".")[0]) < 2:
        # 1.13 takes no transposed convolution in bfloat16 whose maps in and out differ in number.
        raise FsvaeError("usage", f"--bf16 needs torch 2 or newer, this is {torch.__version__}: leave it out")
    if config["kind"] == "fsvae":
        return Fsvae(config, product)
    return Vae(config, batches_per_epoch) if config["kind"] == "vae" else Autoencoder(config)
