"""What the ops of op_driver should return: JAX in float64, with a bound on float32's rounding errors.

    expected(op, inputs, attributes) -> {output: Expected}

An Expected holds the value and, element by element, how far a float32 kernel may be from it. Bounds are made of
Σ|terms|, the sum of the absolute values that a kernel adds up: |error| ≤ growth·u·Σ|terms| with u = 2⁻²⁴ and
growth = 1.5·√K + 2 for K terms: random-walk growth (Higham & Mary 2019; terms of one sign, in some thousand sums, come
to √K) and the last roundings. BatchNorm's statistics and sums are float32 in blocks of 64 rows and double from there on, so
K = 64 for them.
"""

import dataclasses
import itertools
import math

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402

UNIT = 2.0**-24


def growth(count):
    return 1.5 * math.sqrt(count) + 2


BLOCK_GROWTH = growth(64)
# Winograd's sums run over whole tiles of 6×6 pixels, with the transforms' coefficients as amplification.
WINOGRAD, WINOGRAD_TERMS = 3, 36


@dataclasses.dataclass
class Expected:
    value: np.ndarray
    bound: np.ndarray
    winograd_bound: np.ndarray | None = None  # of the outputs that may come from Winograd's algorithm

    def bound_for(self, algorithm):
        return self.winograd_bound if algorithm.startswith("winograd") and self.winograd_bound is not None else self.bound


def _sum(value, terms, count, tile_axes=()):
    """A sum of `count` terms; over `tile_axes` a Winograd tile spreads its errors."""
    terms = np.asarray(terms)
    result = Expected(np.asarray(value), growth(count) * UNIT * terms)
    if tile_axes:
        bound = WINOGRAD * growth(count + WINOGRAD_TERMS) * UNIT * terms.max(axis=tile_axes, keepdims=True)
        result.winograd_bound = np.broadcast_to(bound, terms.shape)
    return result


def pairs(padding):
    """Padding as JAX takes it: a word, or a pair for height and one for width."""
    return padding if isinstance(padding, str) else [tuple(side) for side in padding]


def _conv(attributes):
    def conv(x, w):
        return lax.conv_general_dilated(
            x, w, tuple(attributes.get("stride", (1, 1))), pairs(attributes.get("padding", "SAME")),
            rhs_dilation=tuple(attributes.get("dilation", (1, 1))), dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=attributes.get("groups", 1))

    return conv


def _prologue(attributes, input, prologue_mean=None, prologue_var=None, prologue_scale=1.0, prologue_bias=0.0):
    """The input as the convolution sees it."""
    if prologue_mean is None:
        value = np.maximum(input, 0) if attributes.get("prologue_relu", False) else input
        return Expected(value, np.zeros_like(value))
    options = {"epsilon": attributes.get("prologue_epsilon", 1e-5), "relu": attributes.get("prologue_relu", False)}
    return batch_norm_inference(options, input, prologue_scale, prologue_bias, prologue_mean, prologue_var)["output"]


def conv2d_forward(attributes, input, filter, epilogue_scale=1.0, bias=0.0, residual=0.0, **prologue):
    conv, x = _conv(attributes), _prologue(attributes, input, **prologue)
    value = conv(x.value, filter) * epilogue_scale + bias + residual
    carried = np.asarray(conv(x.bound, abs(filter)) * abs(epilogue_scale))
    terms = (conv(abs(x.value), abs(filter)) + carried) * abs(epilogue_scale) + abs(bias) + abs(residual)
    output = _sum(value, terms, math.prod(filter.shape[:3]) + 3, (1, 2))
    output.bound = output.bound + carried
    output.winograd_bound = output.winograd_bound + carried
    if attributes.get("relu", False):
        output.value = np.maximum(output.value, 0)
    return {"output": output}


def conv2d_backward_input(attributes, grad_output, filter):
    conv = _conv(attributes)
    shape = jax.ShapeDtypeStruct(tuple(attributes["input_shape"]), np.float64)

    def transposed(g, w):
        return jax.linear_transpose(lambda x: conv(x, w), shape)(g)[0]

    count = filter.shape[0] * filter.shape[1] * filter.shape[3] // attributes.get("groups", 1)
    return {"grad_input": _sum(transposed(grad_output, filter), transposed(abs(grad_output), abs(filter)), count, (1, 2))}


def conv2d_backward_filter(attributes, input, grad_output, **prologue):
    conv, x = _conv(attributes), _prologue(attributes, input, **prologue)
    shape = jax.ShapeDtypeStruct(tuple(attributes["filter_shape"]), np.float64)

    def transposed(x, g):
        return np.asarray(jax.linear_transpose(lambda w: conv(x, w), shape)(g)[0])

    count = math.prod(grad_output.shape[:3])
    bias_terms = abs(grad_output).sum((0, 1, 2))
    carried = transposed(x.bound, abs(grad_output))
    terms = transposed(abs(x.value), abs(grad_output)) + carried
    grad_filter = _sum(transposed(x.value, grad_output), terms, count, (0, 1))
    grad_filter.bound = grad_filter.bound + carried
    grad_filter.winograd_bound = grad_filter.winograd_bound + carried
    return {
        "grad_filter": grad_filter,
        "grad_bias": _sum(grad_output.sum((0, 1, 2)), bias_terms, min(64, count)),
    }


@dataclasses.dataclass
class _Statistics:
    mean: np.ndarray
    var: np.ndarray
    mean_error: np.ndarray
    var_error: np.ndarray

    def inverse_std(self, epsilon):
        """1/√(var + ε), and how far it may be off when var is off by var_error."""
        r = 1 / np.sqrt(self.var + epsilon)
        with np.errstate(divide="ignore"):
            highest = 1 / np.sqrt(np.maximum(0, self.var - self.var_error) + epsilon)
        return r, np.maximum(highest - r, r - 1 / np.sqrt(self.var + self.var_error + epsilon)) + 2 * UNIT * r


def _statistics(x, variance, keep=None):
    axes = tuple(range(x.ndim - 1))
    where = None if keep is None else np.broadcast_to(keep[..., None], x.shape)
    mean = np.asarray(jnp.mean(x, axes, where=where))
    var = np.asarray(jnp.var(x, axes, where=where))
    squares = np.asarray(jnp.mean(x * x, axes, where=where))
    # The variance is a mean of squares around a mean that is itself rounded, or a difference of two large sums.
    terms = squares + mean**2 if variance == "fast" else 4 * var + UNIT * mean**2
    magnitude = np.asarray(jnp.mean(abs(x), axes, where=where))
    return _Statistics(mean, var, BLOCK_GROWTH * UNIT * magnitude, BLOCK_GROWTH * UNIT * terms)


def _normalize(x, statistics, scale, bias, residual, attributes):
    r, r_error = statistics.inverse_std(attributes.get("epsilon", 1e-5))
    centered = x - statistics.mean
    y = centered * (scale * r) + bias
    propagated = abs(scale) * (abs(centered) * r_error + (r + r_error) * statistics.mean_error)
    terms = abs(scale) * (r + r_error) * (abs(centered) + statistics.mean_error) + abs(bias)
    if residual is not None:
        y, terms = y + residual, terms + abs(residual)
    if attributes.get("relu", False):
        y = np.maximum(y, 0)
    return Expected(y, propagated + 4 * UNIT * terms)


def _mask(mask, input):
    """[N,H,W] or [N,H,W,1], where an extent of 1 stands for all: as booleans of the input's rows."""
    if mask is None:
        return None
    if mask.ndim == input.ndim:
        mask = mask[..., 0]
    return np.broadcast_to(mask != 0, input.shape[:-1])


def batch_norm_forward(attributes, input, scale, bias, residual=None, mask=None):
    statistics = _statistics(input, attributes.get("variance", "stable"), _mask(mask, input))
    return {
        "output": _normalize(input, statistics, scale, bias, residual, attributes),
        "mean": Expected(statistics.mean, statistics.mean_error),
        "var": Expected(statistics.var, statistics.var_error),
    }


def batch_norm_inference(attributes, input, scale, bias, mean, var, residual=None):
    exact = _Statistics(mean, var, np.zeros_like(mean), np.zeros_like(var))
    return {"output": _normalize(input, exact, scale, bias, residual, attributes)}


def batch_norm_backward(attributes, input, scale, grad_output):
    epsilon = attributes.get("epsilon", 1e-5)
    axes = tuple(range(input.ndim - 1))
    rows = input.size // input.shape[-1]

    def batch_norm(x, scale, bias):
        mean, var = jnp.mean(x, axes), jnp.var(x, axes)
        return (x - mean) * (scale * lax.rsqrt(var + epsilon)) + bias

    _, vjp = jax.vjp(batch_norm, input, scale, np.zeros_like(scale))
    grad_input, grad_scale, grad_bias = (np.asarray(g) for g in vjp(grad_output))

    statistics = _statistics(input, attributes.get("variance", "stable"))
    r, r_error = statistics.inverse_std(epsilon)
    centered = abs(input - statistics.mean)
    normal = centered * r
    normal_error = centered * r_error + (r + r_error) * statistics.mean_error + UNIT * normal
    g = abs(grad_output)
    rounding = growth(min(64, rows)) * UNIT
    bias_bound = rounding * g.sum(axes)
    scale_bound = rounding * (g * normal).sum(axes) + (1 + rounding) * (g * normal_error).sum(axes)
    terms = g + abs(grad_bias) / rows + normal * abs(grad_scale) / rows
    inner = (bias_bound + normal_error * (abs(grad_scale) + scale_bound) + normal * scale_bound) / rows
    return {
        "grad_input": Expected(grad_input, abs(scale) * (r_error * terms + (r + r_error) * (inner + 5 * UNIT * terms))),
        "grad_scale": Expected(grad_scale, scale_bound),
        "grad_bias": Expected(grad_bias, bias_bound),
    }


def pool_axis(attributes, axis, size):
    """Padding before, outputs, padding behind (of the image and any last window that reaches beyond it)."""
    window, stride = attributes["window"][axis], attributes.get("stride", (1, 1))[axis]
    extent = (window - 1) * attributes.get("dilation", (1, 1))[axis] + 1
    padding = pairs(attributes.get("padding", "VALID"))
    if padding == "SAME":
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + extent - size, 0)
        before, after = total // 2, total - total // 2
    else:
        before, after = (0, 0) if padding == "VALID" else padding[axis]
        ceil = attributes.get("ceil_mode", False)
        outputs = (size + before + after - extent + (stride - 1 if ceil else 0)) // stride + 1
        if ceil and (outputs - 1) * stride >= min(size, size + after) + before:
            outputs -= 1
    return before, max(outputs, 0), after, (outputs - 1) * stride + extent - before


def _pool(attributes, start, reduce, reduce_window=lax.reduce_window):
    """The reduction of each window of an image, whose rows and columns outside the padding are `start` as well."""

    def pool(x):
        window, stride = attributes["window"], attributes.get("stride", (1, 1))
        padding = [(0, 0)]
        for axis in range(2):
            before, _, after, end = pool_axis(attributes, axis, x.shape[axis + 1])
            size = x.shape[axis + 1]
            if after < 0:  # a window may look beyond what is left: crop first
                x = lax.slice_in_dim(x, 0, max(size + after, 0), axis=axis + 1)
            padding.append((before, end - x.shape[axis + 1]))
        dilation = (1, *attributes.get("dilation", (1, 1)), 1)
        return reduce_window(x, start, reduce, (1, *window, 1), (1, *stride, 1), [*padding, (0, 0)],
                             window_dilation=dilation)

    return pool


def _first_maximum(x, start, _, window, strides, padding, window_dilation):
    """reduce_window with the maximum, as a choice of the first among a window's taps: JAX has no gradient of a dilated
    reduce_window, and fails where padding crops."""
    x = lax.pad(x, jnp.array(start, x.dtype), [(low, high, 0) for low, high in padding])
    span = [(k - 1) * d for k, d in zip(window, window_dilation)]
    taps = [lax.slice(x, first, [n - s + f for n, s, f in zip(x.shape, span, first)], strides)
            for first in itertools.product(*(range(0, s + 1, d) for s, d in zip(span, window_dilation)))]
    taps = jnp.stack(taps)
    return jnp.take_along_axis(taps, jnp.argmax(taps, axis=0)[None], axis=0)[0]


def _max_pool(attributes):
    return _pool(attributes, -jnp.inf, lax.max, _first_maximum)


def _counted(attributes, axis, size):
    """How many taps of each window along an axis an average counts."""
    before, outputs, after, _ = pool_axis(attributes, axis, size)
    windows = np.arange(outputs)[:, None] * attributes.get("stride", (1, 1))[axis] - before
    taps = windows + np.arange(attributes["window"][axis]) * attributes.get("dilation", (1, 1))[axis]
    if attributes.get("count_include_pad", True):
        return (taps < size + after).sum(1)
    return ((taps >= max(0, -before)) & (taps < min(size, size + after))).sum(1)


def _average_pool(attributes):
    pool = _pool(attributes, 0.0, lax.add)

    def average(x):
        heights, widths = (_counted(attributes, axis, x.shape[axis + 1]) for axis in range(2))
        return pool(x) / np.maximum(1, np.outer(heights, widths))[None, :, :, None]

    return average


def max_pool_forward(attributes, input):
    value = np.asarray(_max_pool(attributes)(input))
    return {"output": Expected(value, np.zeros_like(value))}


def max_pool_backward(attributes, input, grad_output):
    _, vjp = jax.vjp(_max_pool(attributes), input)
    return {"grad_input": _sum(vjp(grad_output)[0], vjp(abs(grad_output))[0], math.prod(attributes["window"]))}


def average_pool_forward(attributes, input):
    pool = _average_pool(attributes)
    return {"output": _sum(pool(input), pool(abs(input)), math.prod(attributes["window"]))}


def average_pool_backward(attributes, input, grad_output):
    _, vjp = jax.vjp(_average_pool(attributes), input)
    return {"grad_input": _sum(vjp(grad_output)[0], vjp(abs(grad_output))[0], math.prod(attributes["window"]))}


def matmul_forward(attributes, a, b):
    return {"output": _sum(jnp.matmul(a, b), jnp.matmul(abs(a), abs(b)), a.shape[1])}


def softmax_cross_entropy(attributes, logits, labels, class_weights=None):
    classes = logits.shape[1]
    smoothing = float(np.float32(attributes.get("label_smoothing", 0)))
    weights = np.ones(classes) if class_weights is None else class_weights
    counts = labels != attributes.get("ignore_index", -1)
    known = np.where(counts, labels, 0)
    targets = weights * ((1 - smoothing) * np.eye(classes)[known] + smoothing / classes) * counts[:, None]
    divisor = (weights[known] * counts).sum()

    def loss(z):
        return (targets * (jax.nn.logsumexp(z, axis=1, keepdims=True) - z)).sum() / divisor

    value, gradient = jax.value_and_grad(loss)(logits)
    terms = targets * (np.abs(jax.nn.logsumexp(logits, axis=1, keepdims=True)) + np.abs(logits))
    # Double inside, rounded once.
    gradient_terms = np.array(jax.nn.softmax(logits, axis=1)) * targets.sum(axis=1, keepdims=True) + targets
    return {
        "loss": Expected(np.asarray(value)[None], 2 * UNIT * np.asarray(terms.sum() / divisor)[None]),
        "grad_logits": Expected(np.asarray(gradient), 2 * UNIT * gradient_terms / divisor),
    }


OPS = {
    f.__name__: f
    for f in (conv2d_forward, conv2d_backward_input, conv2d_backward_filter, batch_norm_forward, batch_norm_inference,
              batch_norm_backward, max_pool_forward, max_pool_backward, average_pool_forward, average_pool_backward,
              matmul_forward, softmax_cross_entropy)
}


def expected(op, inputs, attributes):
    """Outputs of `op` by name; `inputs` are what the driver gets, so values are float32's."""
    exact = {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in inputs.items()}
    return OPS[op](attributes, **exact)


def expected_of(op, attributes, outputs):
    """Outputs that are defined by what others came out as: the statistics of a convolution's output."""
    if op != "conv2d_forward" or not attributes.get("statistics", False) or "output" not in outputs:
        return {}
    statistics = _statistics(outputs["output"].astype(np.float64), "stable")
    return {"mean": Expected(statistics.mean, statistics.mean_error), "var": Expected(statistics.var, statistics.var_error)}
