"""A run's files, as training/train/checkpoint.ts writes and reads them; a run can go on in either trainer.

safetensors is eight bytes of header length, a JSON header, and the data: no package is needed for it.
"""

import json
import os

import numpy as np
import torch

from config import parse_config
from errors import FsvaeError

FORMAT, VERSION = "fsvae-training", "1"
_TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I64": np.dtype("<i8"), "U8": np.dtype("u1")}


def write_whole(path, data):
    """So that at every moment either the old or the new file is there, whole."""
    beside = f"{path}.partial"
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if os.path.exists(beside):
            os.remove(beside)
        raise FsvaeError("usage", f"{path} cannot be written ({error.strerror}); what was there is whole: make room, then --resume")


def encode_safetensors(arrays, metadata):
    """arrays: name -> float32, int64 or uint8 numpy array; metadata: strings. Eight-byte numbers come first, so all is aligned."""
    names = {array: name for name, array in _TYPES.items()}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
    header, at = {"__metadata__": metadata}, 0
    for name, array in ordered:
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(array.tobytes() for _, array in ordered)])


def read_safetensors(path):
    """-> arrays by name, metadata; 16-bit floats, as the shipped encoders have them, stay what they are. @raises FsvaeError for anything that does not hold together."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise FsvaeError("usage", f"{path}: cannot be read ({error.strerror})")
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        arrays = {}
        for name, entry in header.items():
            first, end = entry["data_offsets"]
            kind = _TYPES[entry["dtype"]]
            body = data[8 + length + first : 8 + length + end]
            arrays[name] = np.frombuffer(body, dtype=kind).reshape(entry["shape"]).copy()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FsvaeError("input", f"{path}: not a readable safetensors file ({error}); take an earlier copy")
    return arrays, metadata


def read_network(path):
    """State dict of a checkpoint: safetensors, or a file of torch.save."""
    if path.endswith(".safetensors"):
        return {name: torch.from_numpy(array) for name, array in read_safetensors(path)[0].items()}
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except TypeError:  # torch below 1.13
            return torch.load(path, map_location="cpu")
    except Exception as error:
        raise FsvaeError("input", f"{path}: cannot be read as a PyTorch checkpoint ({str(error).splitlines()[0]})")


def _floats(tensor):
    return tensor.detach().cpu().float().contiguous().numpy()


def network_arrays(network):
    return {name: _floats(tensor) for name, tensor in network.state_dict().items() if "num_batches" not in name}


def encode_network(config, network, steps):
    """The network alone: what `fsvae-codegen quantize` reads."""
    arrays = network_arrays(network)
    for name in [name for name in arrays if name.endswith(".running_var")]:
        arrays[name.replace("running_var", "num_batches_tracked")] = np.array(steps, dtype=np.int64)
    return encode_safetensors(dict(sorted(arrays.items())), {"config": json.dumps(config)})


def encode_run(config, network, optimizer, position, images):
    """Everything that --resume needs. position: step, epoch, stepOfEpoch; images: fingerprint of what it is trained on."""
    arrays = network_arrays(network)
    for name, parameter in network.named_parameters():
        state = optimizer.state.get(parameter, {})
        for moment, key in (("first", "exp_avg"), ("second", "exp_avg_sq")):
            arrays[f"optimizer.{moment}.{name}"] = _floats(state.get(key, torch.zeros_like(parameter)))
    texts = {"config": json.dumps(config), "position": json.dumps(position), "images": images}
    return encode_safetensors(arrays, {"format": FORMAT, "version": VERSION, **texts})


def load_network(network, tensors, path):
    """Fills weights and running statistics; T may be another: no weight depends on it."""
    own = network.state_dict()
    with torch.no_grad():
        for name, target in own.items():
            if name.endswith(("num_batches_tracked", "initial_input", ".coef")):
                continue
            found = tensors.get(name)
            if found is None or found.shape != target.shape:
                what = "missing" if found is None else str(tuple(found.shape))
                raise FsvaeError("input", f"{path}: {name} is {what}, expected {tuple(target.shape)}")
            target.copy_(found)


def restore_run(path, network, optimizer):
    """Fills network and optimizer. -> config, position, images."""
    arrays, metadata = read_safetensors(path)
    if (metadata.get("format"), metadata.get("version")) != (FORMAT, VERSION):
        raise FsvaeError("input", f"{path}: is not a training checkpoint of format {FORMAT} {VERSION}")
    try:
        config, position = parse_config(json.loads(metadata["config"]), path), json.loads(metadata["position"])
        counts = [position["step"], position["epoch"], position["stepOfEpoch"]]
    except (ValueError, KeyError, TypeError):
        raise FsvaeError("input", f"{path}: its metadata holds no readable config and position; take an earlier copy")
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise FsvaeError("input", f"{path}: its position is not whole numbers; take an earlier copy")
    load_network(network, {name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    for name, parameter in network.named_parameters():
        moments = [arrays.get(f"optimizer.{moment}.{name}") for moment in ("first", "second")]
        if any(moment is None or moment.shape != tuple(parameter.shape) for moment in moments):
            raise FsvaeError("input", f"{path}: the moments of {name} are missing or misshaped; take an earlier copy")
        first, second = (torch.from_numpy(moment).to(parameter.device) for moment in moments)
        optimizer.state[parameter] = {"step": torch.tensor(float(counts[0])), "exp_avg": first, "exp_avg_sq": second}
    return config, position, metadata.get("images", "")
