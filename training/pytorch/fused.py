"""lif.c, compiled when training starts, with the compiler that is there. Without one, or on a GPU, separate.py does the same in torch.

FSVAE_FUSED=0 leaves it out; CC names another compiler.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from ctypes import Structure, c_float, c_int, c_int64, c_void_p

import torch

_HERE = os.path.dirname(os.path.abspath(__file__))
_FLAGS = ["-O3", "-march=native", "-fPIC", "-fopenmp", "-fno-trapping-math", "-fno-math-errno"]
_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}


class _Neuron(Structure):
    _fields_ = [(name, c_float) for name in ("tau", "threshold", "centre", "half_width", "height")]


# REAL pointers are c_void_p; argument lists as in lif.h.
_SIGNATURES = {
    "moments": (None, [c_void_p, c_int64, c_int64, c_void_p]),
    "forward": (c_int64, [c_void_p, c_int64, c_void_p, c_void_p, c_int, c_int64, c_int64, _Neuron, c_void_p]),
    "backward": (
        None,
        [c_void_p, c_int64, *[c_void_p] * 3, c_int, c_int64, c_int64, c_int64, _Neuron, c_float, c_void_p, c_void_p, c_void_p],
    ),
    "adjoint": (None, [*[c_void_p] * 6, c_int64, c_int64, c_void_p]),
    "time_sum": (None, [c_void_p, c_void_p, c_int, c_int64, c_void_p]),
    "time_spread": (None, [c_void_p, c_void_p, c_void_p, c_int, c_int64]),
}


def _openmp():
    """The OpenMP library that torch has loaded: a second one would bring threads of its own. None if there is none to be seen."""
    try:
        with open("/proc/self/maps") as maps:
            return next((line.split()[-1] for line in maps if "libgomp" in line), None)
    except OSError:
        return None


@functools.cache
def _library():
    """The library, or None where something is missing, which is said on stderr."""
    if os.environ.get("FSVAE_FUSED") == "0":
        return None
    compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("gcc", "cc"))), None)
    openmp = _openmp()
    if compiler is None or openmp is None:
        return _without("there is no C compiler" if compiler is None else "torch came without libgomp")
    with tempfile.TemporaryDirectory() as folder:
        objects, library = os.path.join(folder, "lif.o"), os.path.join(folder, "lif.so")
        compile_ = [compiler, *_FLAGS, "-c", os.path.join(_HERE, "lif.c"), "-o", objects]
        for command in compile_, [compiler, "-shared", objects, openmp, "-o", library]:
            try:
                done = subprocess.run(command, capture_output=True, text=True)
            except OSError as error:
                return _without(f"{compiler} does not run ({error.strerror})")
            if done.returncode != 0:
                return _without(f"{compiler} does not compile lif.c ({(done.stderr.strip().splitlines() or ['no message'])[0]})")
        loaded = ctypes.CDLL(library)
    for name, (result, arguments) in _SIGNATURES.items():
        for kind in _NAMES.values():
            function = getattr(loaded, f"{name}_{kind}")
            function.restype, function.argtypes = result, arguments
    return loaded


def _without(why):
    print(f"note: {why}, so the neurons run as separate operations of torch: a step takes two to three times as long", file=sys.stderr)


def available(x):
    """Whether tensors like x are for this module."""
    return x.device.type == "cpu" and x.dtype in _NAMES and _library() is not None


def _call(name, x, *arguments):
    """Tensors, all contiguous, are given by address, x's among them."""
    function = getattr(_library(), f"{name}_{_NAMES[x.dtype]}")
    return function(x.data_ptr(), *[a.data_ptr() if isinstance(a, torch.Tensor) else a for a in arguments])


def moments(x, channels):
    """x: contiguous, the channel running fastest -> mean and biased variance of each channel, float32."""
    rows = x.numel() // channels
    sums = torch.empty(2, channels, dtype=torch.float64)
    _call("moments", x, rows, channels, sums)
    apart, squares = sums / rows
    return (apart + x.view(-1, channels)[0]).float(), (squares - apart.square()).float()


def fire(x, steps, constant, scale, shift, neuron):
    """x: (T, batch, n), or (1, batch, n) where `constant`; scale, shift: (n) -> spikes (T, batch, n) in x's type, how many, None."""
    _, batch, n = x.shape
    spikes = torch.empty(steps, batch, n, dtype=x.dtype)
    count = _call("forward", x, 0 if constant else batch * n, scale, shift, steps, batch, n, _Neuron(*neuron), spikes)
    return spikes, torch.tensor(count), None


def backward(x, d_spikes, steps, constant, scale, shift, mean, neuron, cost, channels, _membranes):
    """d_spikes: (T, batch, n) in x's type. scale, shift, mean: (n). Membranes are computed again.

    -> d: gradient of the normalised currents, as x, in float32; its sum and the sum of d * (x - mean) over each channel.
    """
    _, batch, n = x.shape
    d, sums = torch.empty(x.shape), torch.empty(2, channels, dtype=torch.float64)
    stride = 0 if constant else batch * n
    _call("backward", x, stride, scale, shift, mean, steps, batch, n, channels, _Neuron(*neuron), cost, d_spikes, d, sums)
    return (d, *sums.float())


def adjoint(x, d, scale, mean, constant, slope):
    """d * scale + constant - (x - mean) * slope; x, d: (T, batch, n), the others (n) -> as x."""
    dx = torch.empty_like(x)
    _call("adjoint", x, d, scale, mean, constant, slope, x.shape[0] * x.shape[1], x.shape[2], dx)
    return dx


def time_sum(spikes, coefficients):
    """spikes (T, size), coefficients (T) -> (size) in float32."""
    total = torch.empty(spikes.shape[1])
    _call("time_sum", spikes, coefficients.float(), len(coefficients), spikes.shape[1], total)
    return total


def time_spread(d, coefficients, kind):
    """d: float32 (size), coefficients (T) -> (T, size) of type kind."""
    spread = torch.empty(len(coefficients), d.numel(), dtype=kind)
    _call("time_spread", spread, d, coefficients.float(), len(coefficients), d.numel())
    return spread
