"""Writes tests/golden/flax.safetensors: what JAX and Flax make of the operations that hwynn has.

Made with jax 0.10.2, flax 0.12.8, optax 0.2.8, safetensors on x86-64:
    pip install jax==0.10.2 flax==0.12.8 optax==0.2.8 safetensors && python tests/golden/flax_golden.py

Inputs are stored too, so that the test needs nothing but this file. Names: <case>/<array>.
"""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import save_file

out = {}


def put(case, **arrays):
    for name, array in arrays.items():
        array = np.asarray(array)
        out[f"{case}/{name}"] = np.ascontiguousarray(array, np.int32 if array.dtype.kind == "i" else np.float32)


def normal(seed, shape, mean=0.0, std=1.0):
    return np.random.default_rng(seed).normal(mean, std, shape).astype(np.float32)


def conv(case, x, w, strides, padding, dilation=(1, 1), groups=1):
    def f(x, w):
        return jax.lax.conv_general_dilated(
            x, w, strides, padding, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups, precision=jax.lax.Precision.HIGHEST)

    y, vjp = jax.vjp(f, x, w)
    g = normal(99, y.shape)
    dx, dw = vjp(g)
    put(case, input=x, filter=w, output=y, grad_output=g, grad_input=dx, grad_filter=dw)


conv("conv_same", normal(1, (2, 7, 6, 5)), normal(2, (3, 3, 5, 8)), (1, 1), "SAME")
conv("conv_same_stride2", normal(3, (1, 8, 8, 6)), normal(4, (3, 3, 6, 7)), (2, 2), "SAME")
conv("conv_explicit", normal(5, (1, 9, 7, 3)), normal(6, (5, 3, 3, 4)), (2, 1), [(2, 1), (0, 2)])
conv("conv_dilated", normal(7, (1, 9, 9, 4)), normal(8, (3, 3, 4, 4)), (1, 1), "VALID", dilation=(2, 2))
conv("conv_groups", normal(9, (2, 5, 5, 6)), normal(10, (3, 3, 2, 9)), (1, 1), "SAME", groups=3)
conv("conv_depthwise", normal(11, (1, 6, 6, 10)), normal(12, (3, 3, 1, 10)), (2, 2), "SAME", groups=10)


def batch_norm(case, x, fast):
    scale, bias = normal(20, x.shape[-1:], 1.0, 0.3), normal(21, x.shape[-1:])
    module = nn.BatchNorm(use_running_average=False, momentum=0.9, use_fast_variance=fast)
    stats = {"mean": jnp.zeros(x.shape[-1]), "var": jnp.ones(x.shape[-1])}

    def f(x, scale, bias):
        return module.apply({"params": {"scale": scale, "bias": bias}, "batch_stats": stats}, x, mutable=["batch_stats"])

    y, vjp, updates = jax.vjp(f, x, scale, bias, has_aux=True)
    g = normal(22, x.shape)
    dx, dscale, dbias = vjp(g)
    stats = updates["batch_stats"]
    put(case, input=x, scale=scale, bias=bias, output=y, grad_output=g, grad_input=dx, grad_scale=dscale,
        grad_bias=dbias, running_mean=stats["mean"], running_var=stats["var"])


batch_norm("batch_norm_fast", normal(23, (3, 5, 4, 9), 0.5), True)
batch_norm("batch_norm_two_pass", normal(24, (2, 7, 7, 6), 20.0), False)
batch_norm("batch_norm_rows", normal(25, (40, 5)), True)


def pool(case, f, x):
    y, vjp = jax.vjp(f, x)
    g = normal(31, y.shape)
    put(case, input=x, output=y, grad_output=g, grad_input=vjp(g)[0])


# Small integers: windows with equal maxima.
ties = np.random.default_rng(30).integers(-2, 3, (2, 8, 7, 5)).astype(np.float32)
pool("max_pool_same", lambda x: nn.max_pool(x, (3, 3), (2, 2), "SAME"), ties)
pool("average_pool_same", lambda x: nn.avg_pool(x, (3, 2), (2, 1), "SAME"), normal(32, (2, 7, 6, 5)))

logits, labels = normal(40, (6, 11), 0, 3), np.array([0, 10, 3, 3, 7, 1])
loss, grad = jax.value_and_grad(
    lambda z: optax.softmax_cross_entropy_with_integer_labels(z, labels).mean())(logits)
put("cross_entropy", logits=logits, labels=labels, loss=[loss], grad_logits=grad)


class Block(nn.Module):
    filters: int
    strides: int

    @nn.compact
    def __call__(self, x, train):
        norm = lambda **kw: nn.BatchNorm(use_running_average=not train, momentum=0.9, **kw)
        s = (self.strides, self.strides)
        y = nn.relu(norm()(nn.Conv(self.filters, (3, 3), s, use_bias=False)(x)))
        y = norm(scale_init=nn.initializers.zeros)(nn.Conv(self.filters, (3, 3), use_bias=False)(y))
        if x.shape != y.shape:
            x = norm(name="norm_proj")(nn.Conv(self.filters, (1, 1), s, use_bias=False, name="conv_proj")(x))
        return nn.relu(x + y)


Block.__name__ = "ResNetBlock"


class ResNet20(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(16, (3, 3), use_bias=False, name="conv_init")(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, name="bn_init")(x))
        for stage in range(3):
            for block in range(3):
                x = Block(16 * 2**stage, 2 if stage and not block else 1)(x, train)
        return nn.Dense(10)(x.mean((1, 2)))


class Mlp(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(16)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.99)(x))
        return nn.Dense(10)(x)


def train(case, model, x, y, tx, steps):
    variables = model.init(jax.random.key(0), x[:1], train=False)
    params, stats = variables["params"], variables["batch_stats"]
    state = tx.init(params)

    @jax.jit
    def step(params, stats, state):
        def f(params):
            z, updates = model.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(z, y).mean(), updates["batch_stats"]

        (loss, stats_), grads = jax.value_and_grad(f, has_aux=True)(params)
        updates, state_ = tx.update(grads, state, params)
        return loss, optax.apply_updates(params, updates), stats_, state_

    losses = []
    for _ in range(steps):
        loss, params, stats, state = step(params, stats, state)
        losses.append(loss)
    logits = model.apply({"params": params, "batch_stats": stats}, x, train=False)
    put(case, images=x, labels=y, losses=losses, logits=logits)


labels = np.arange(8) % 10
train("train_mlp", Mlp(), normal(50, (8, 12)), labels, optax.adam(1e-2), 10)
train("train_resnet20", ResNet20(), normal(51, (8, 8, 8, 3)), labels, optax.sgd(0.05, momentum=0.9, nesterov=True), 10)

save_file(out, pathlib.Path(__file__).with_name("flax.safetensors"))
print(sum(a.nbytes for a in out.values()), "bytes;", {k: v for k, v in out.items() if k.endswith("losses")})
