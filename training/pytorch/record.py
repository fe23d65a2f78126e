"""Records a run of an FSVAE for `fsvae-codegen check`: docs/recording.md.

    python3 record.py CHECKPOINT VECTORS.npz [--samples 16] [--seed 0] [--tau 0.25] [--threshold 0.2]

CHECKPOINT: .safetensors, or a state_dict of torch.save, under the authors' names; a checkpoint without encoder and posterior will do.
"""

import argparse
import os

import numpy as np
import torch

from checkpoint import load_network, read_network
from config import parse_config
from errors import FsvaeError, run
from model import Fsvae, SpikingLayer, choices


def shape_of(tensors, path):
    """Section `model` of the config, from the shapes of prior and decoder."""
    try:
        k_c, _ = tensors["prior.layers.2.weight"].shape
        bottom, c = tensors["decoder_input.weight"].shape
        down = []
        while f"decoder.{len(down)}.weight" in tensors:
            down.append(tensors[f"decoder.{len(down)}.weight"].shape[0])
        down.append(tensors["final_layer.0.weight"].shape[0])
        side = round((bottom / down[0]) ** 0.5)
        return {
            "channels": tensors["final_layer.1.weight"].shape[1],
            "imageSize": side << len(down),
            "hiddenChannels": down[::-1],
            "latentChannels": c,
            "choices": k_c // c,
            "timeSteps": tensors["membrane_output_layer.coef"].shape[-1],
        }
    except (KeyError, ValueError) as error:
        raise FsvaeError("input", f"{path}: is no FSVAE checkpoint ({error}); docs/recording.md says what one holds")


def record(network, chosen):
    """Arrays of the file. chosen (T, N, C): at step t, channel c the element k * c + chosen of the prior's last layer is picked."""
    spikes = {}
    layers = {name: module for name, module in network.named_modules() if isinstance(module, SpikingLayer)}

    def keep(name):
        return lambda _module, _inputs, output: spikes.setdefault(name, []).append(output.to(torch.uint8))

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    image, z = network.eval().sample(chosen)
    for handle in handles:
        handle.remove()
    steps, count, c = chosen.shape
    arrays = {
        "choices": chosen.permute(1, 0, 2).numpy().astype(np.uint8),
        "z": z.permute(1, 2, 0).numpy().astype(np.uint8),
        "image": image.contiguous().numpy(),
    }
    for name, parts in spikes.items():
        # Time first, in one part (decoder) or one for each step (prior); the file has time last.
        whole = torch.cat(parts)
        whole = whole.reshape(steps, count, *whole.shape[1:]).movedim(0, -1).contiguous().numpy()
        arrays[f"count_{name}"] = whole.reshape(count, -1, steps).sum(axis=1, dtype=np.int64)
        arrays[f"spk_{name}"] = np.packbits(whole[:2])
        if name == "prior.layers.2":
            arrays["count_p"] = whole.reshape(count, c, -1, steps).sum(axis=2).astype(np.uint8)
    return arrays


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("vectors", help="file to write, .npz")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0, help="of the choices")
    parser.add_argument("--tau", type=float, default=0.25, help="leak, which no checkpoint holds")
    parser.add_argument("--threshold", type=float, default=0.2)
    arguments = parser.parse_args()
    if not arguments.vectors.endswith(".npz") or arguments.samples < 1:
        raise FsvaeError("usage", "give a file that ends in .npz, and at least one sample")
    path = arguments.checkpoint
    tensors = read_network(path)
    value = {"model": shape_of(tensors, path), "neuron": {"tau": arguments.tau, "threshold": arguments.threshold}}
    config = parse_config(value, path)
    network = Fsvae(config)
    if "encoder.0.weight" not in tensors:
        # Sampling uses neither; what they hold does not matter.
        own = network.state_dict()
        tensors = {**{name: own[name] for name in own if name.split(".")[0] in ("encoder", "before_latent_layer", "posterior")}, **tensors}
    load_network(network, tensors, path)
    shape = config["model"]
    drawn = choices(arguments.seed, "prior", 0, (shape["timeSteps"], arguments.samples, shape["latentChannels"]), shape["choices"])
    try:
        np.savez_compressed(arguments.vectors, **record(network, drawn))
    except OSError as error:
        raise FsvaeError("usage", f"{arguments.vectors}: cannot be written ({error.strerror})")
    print(f"{arguments.samples} samples in {os.path.basename(arguments.vectors)}; now: fsvae-codegen check {path} {arguments.vectors}")


if __name__ == "__main__":
    run(main)
