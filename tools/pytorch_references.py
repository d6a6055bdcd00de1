"""The ops of op_driver in PyTorch, in float64: a second opinion beside op_references.py."""

import numpy as np
import torch
import torch.nn.functional as F


def _images(x):  # NHWC → NCHW
    return torch.from_numpy(x).double().permute(0, 3, 1, 2)


def _filter(w):  # HWIO → OIHW
    return torch.from_numpy(w).double().permute(3, 2, 0, 1)


def _rows(y):  # NCHW → NHWC
    return y.detach().permute(0, 2, 3, 1).numpy()


def _pad(x, attributes, default, window, value=0.0):
    """PyTorch knows symmetric padding alone, so images are padded beforehand."""
    padding = attributes.get("padding", default)
    if padding == "VALID":
        return x
    if padding == "SAME":
        padding = []
        for size, extent, stride in zip(x.shape[2:], window, attributes.get("stride", (1, 1))):
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
            padding.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def _conv(x, w, attributes):
    dilation = tuple(attributes.get("dilation", (1, 1)))
    extents = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation)]
    return F.conv2d(_pad(x, attributes, "SAME", extents), w, stride=tuple(attributes.get("stride", (1, 1))),
                    dilation=dilation, groups=attributes.get("groups", 1))


def _prologue(attributes, input, prologue_mean=None, prologue_var=None, prologue_scale=None, prologue_bias=None):
    x = input.astype(np.float64)
    if prologue_mean is not None:
        channels = [None if a is None else torch.from_numpy(a).double()
                    for a in (prologue_scale, prologue_bias, prologue_mean, prologue_var)]
        options = {"epsilon": attributes.get("prologue_epsilon", 1e-5)}
        x = _batch_norm(torch.from_numpy(x), channels[0], channels[1], options, channels[2], channels[3]).numpy()
    return np.maximum(x, 0) if attributes.get("prologue_relu", False) else x


def conv2d_forward(attributes, input, filter, epilogue_scale=1.0, bias=0.0, residual=0.0, **prologue):
    x = _prologue(attributes, input, **prologue)
    y = _rows(_conv(_images(x), _filter(filter), attributes)) * epilogue_scale + bias + residual
    if attributes.get("relu", False):
        y = np.maximum(y, 0)
    return {"output": y}


def conv2d_backward_input(attributes, grad_output, filter):
    x = torch.zeros(attributes["input_shape"], dtype=torch.float64, requires_grad=True)
    _conv(x.permute(0, 3, 1, 2), _filter(filter), attributes).backward(_images(grad_output))
    return {"grad_input": x.grad.numpy()}


def conv2d_backward_filter(attributes, input, grad_output, **prologue):
    w = torch.zeros(attributes["filter_shape"], dtype=torch.float64, requires_grad=True)
    x = _prologue(attributes, input, **prologue)
    _conv(_images(x), w.permute(3, 2, 0, 1), attributes).backward(_images(grad_output))
    return {"grad_filter": w.grad.numpy(), "grad_bias": grad_output.astype(np.float64).sum((0, 1, 2))}


def _pool(attributes, input, f, value):
    x = torch.from_numpy(input).double().requires_grad_()
    options = {"stride": tuple(attributes.get("stride", (1, 1))), "ceil_mode": attributes.get("ceil_mode", False)}
    if "count_include_pad" in attributes:
        options["count_include_pad"] = attributes["count_include_pad"]
    window, dilation = attributes["window"], attributes.get("dilation", (1, 1))
    if tuple(dilation) != (1, 1) and f is F.max_pool2d:
        options["dilation"] = tuple(dilation)
    images, padding = x.permute(0, 3, 1, 2), attributes.get("padding", "VALID")
    if not isinstance(padding, str) and all(0 <= a == b <= k // 2 for (a, b), k in zip(padding, window)):
        options["padding"] = tuple(a for a, _ in padding)  # PyTorch's own, which it counts or doesn't
    else:
        extents = [(k - 1) * d + 1 for k, d in zip(window, dilation)]
        images = _pad(images, attributes, "VALID", extents, value)
    return x, f(images, tuple(window), **options)


def pool_differs(attributes):
    """What PyTorch doesn't have: averages with dilation, and options that depend on padding that isn't symmetric."""
    window, padding = attributes["window"], attributes.get("padding", "VALID")
    symmetric = padding == "VALID" or (padding != "SAME" and
                                       all(0 <= a == b <= k // 2 for (a, b), k in zip(padding, window)))
    return ("count_include_pad" in attributes and attributes.get("dilation", [1, 1]) != [1, 1] or
            not symmetric and (attributes.get("ceil_mode", False) or not attributes.get("count_include_pad", True)))


def _pool_backward(attributes, input, grad_output, f, value):
    x, y = _pool(attributes, input, f, value)
    y.backward(_images(grad_output))
    return {"grad_input": x.grad.numpy()}


def max_pool_forward(attributes, input):
    return {"output": _rows(_pool(attributes, input, F.max_pool2d, -torch.inf)[1])}


def max_pool_backward(attributes, input, grad_output):
    return _pool_backward(attributes, input, grad_output, F.max_pool2d, -torch.inf)


def average_pool_forward(attributes, input):
    return {"output": _rows(_pool(attributes, input, F.avg_pool2d, 0.0)[1])}


def average_pool_backward(attributes, input, grad_output):
    return _pool_backward(attributes, input, grad_output, F.avg_pool2d, 0.0)


def _batch_norm(x, scale, bias, attributes, mean=None, var=None):
    rows = x.reshape(-1, x.shape[-1])
    y = F.batch_norm(rows, mean, var, scale, bias, training=mean is None, eps=attributes.get("epsilon", 1e-5))
    return y.reshape(x.shape)


def _finish(y, residual, attributes):
    y = y.numpy() if residual is None else y.numpy() + residual
    return {"output": np.maximum(y, 0) if attributes.get("relu", False) else y}


def batch_norm_forward(attributes, input, scale, bias, residual=None, mask=None):
    if mask is not None or input.size == input.shape[-1]:
        return {}  # PyTorch has no mask, and refuses a single row
    x, scale, bias = (torch.from_numpy(a).double() for a in (input, scale, bias))
    return _finish(_batch_norm(x, scale, bias, attributes), residual, attributes)


def batch_norm_inference(attributes, input, scale, bias, mean, var, residual=None):
    tensors = (torch.from_numpy(a).double() for a in (input, scale, bias, mean, var))
    x, scale, bias, mean, var = tensors
    return _finish(_batch_norm(x, scale, bias, attributes, mean, var), residual, attributes)


def batch_norm_backward(attributes, input, scale, grad_output):
    if input.size == input.shape[-1]:
        return {}
    x, scale = (torch.from_numpy(a).double().requires_grad_() for a in (input, scale))
    bias = torch.zeros_like(scale, requires_grad=True)
    _batch_norm(x, scale, bias, attributes).backward(torch.from_numpy(grad_output).double())
    return {"grad_input": x.grad.numpy(), "grad_scale": scale.grad.numpy(), "grad_bias": bias.grad.numpy()}


def matmul_forward(attributes, a, b):
    return {"output": (torch.from_numpy(a).double() @ torch.from_numpy(b).double()).numpy()}


def softmax_cross_entropy(attributes, logits, labels, class_weights=None):
    z = torch.from_numpy(logits).double().requires_grad_()
    loss = F.cross_entropy(z, torch.from_numpy(labels).long(),
                           weight=None if class_weights is None else torch.from_numpy(class_weights).double(),
                           ignore_index=attributes.get("ignore_index", -100),
                           label_smoothing=float(np.float32(attributes.get("label_smoothing", 0))))
    loss.backward()
    return {"loss": loss.detach().numpy()[None], "grad_logits": z.grad.numpy()}


def values(op, inputs, attributes):
    """Outputs by name; without those that PyTorch doesn't compute."""
    if "_pool_" in op and pool_differs(attributes):
        return {}
    return globals()[op](attributes, **inputs)
