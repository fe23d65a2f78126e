"""Linear layers and convolutions over (T * batch) images, optionally with products in bfloat16.

Spikes are exact in bfloat16, so it rounds only weights, currents and gradients. A filter's gradient is always
computed in float32: oneDNN's bfloat16 one falls back to a reference loop on channels_last maps (measured 10 to 20 times slower).
"""

import torch
import torch.nn.functional as F

STRIDE, PADDING = [2, 2], [1, 1]


def _filter_gradient(narrow, wide, shape):
    """Of a convolution with stride 2 that takes `wide` maps to `narrow` ones; the adjoint has the two swapped, and the same filter."""
    wide, narrow = wide.float(), narrow.float()
    weight = torch.empty(shape, device=wide.device).to(memory_format=torch.channels_last)
    arguments = [narrow, wide, weight, None, STRIDE, PADDING, [1, 1], False, [0, 0], 1, [False, True, False]]
    return torch.ops.aten.convolution_backward(*arguments)[1]


class _Convolution(torch.autograd.Function):
    """Kernel 3, stride 2, padding 1. weight (out, in, 3, 3) in float32; product in x's type."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight.to(x.dtype), None, STRIDE, PADDING)

    @staticmethod
    def backward(ctx, d):
        x, weight = ctx.saved_tensors
        d = d.contiguous(memory_format=torch.channels_last)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = F.conv_transpose2d(d, weight.to(d.dtype), None, STRIDE, PADDING, 1)
        return dx, _filter_gradient(d, x, weight.shape)


class _TransposedConvolution(torch.autograd.Function):
    """Kernel 3, stride 2, padding 1, output padding 1: the adjoint of _Convolution. weight (in, out, 3, 3)."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return F.conv_transpose2d(x, weight.to(x.dtype), None, STRIDE, PADDING, 1)

    @staticmethod
    def backward(ctx, d):
        x, weight = ctx.saved_tensors
        d = d.contiguous(memory_format=torch.channels_last)
        return F.conv2d(d, weight.to(d.dtype), None, STRIDE, PADDING), _filter_gradient(x, d, weight.shape)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.to(x.dtype).t()

    @staticmethod
    def backward(ctx, d):
        x, weight = ctx.saved_tensors
        dx = d @ weight.to(d.dtype) if ctx.needs_input_grad[0] else None
        return dx, (d.t() @ x).float()


def linear(x, weight):
    """x (rows, in), weight (out, in) -> (rows, out)."""
    return _Linear.apply(x, weight)


def convolution(x, weight):
    """x (N, in, H, W), weight (out, in, 3, 3, 1) -> (N, out, H / 2, W / 2), channels_last."""
    return _Convolution.apply(x, weight.squeeze(-1).contiguous(memory_format=torch.channels_last))


def transposed_convolution(x, weight):
    """x (N, in, H, W), weight (in, out, 3, 3, 1) -> (N, out, 2 H, 2 W), channels_last."""
    return _TransposedConvolution.apply(x, weight.squeeze(-1).contiguous(memory_format=torch.channels_last))
