"""Writes tests/golden/flax_layers.safetensors: Flax's layers and optax's optimizers, each with its initial values, one
forward and one backward pass, or some steps.

Made with jax 0.10.2, flax 0.12.8, optax 0.2.8, safetensors on x86-64:
    pip install jax==0.10.2 flax==0.12.8 optax==0.2.8 safetensors && python tests/golden/flax_layers.py

Names: <case>/input, params.<path>, output, grad_output, grad_input, grads.<path>, batch_stats.<path> after the call.
"""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

out = {}
NORMAL = nn.initializers.normal(1.0)


def normal(seed, shape, mean=0.0, std=1.0):
    return np.random.default_rng(seed).normal(mean, std, shape).astype(np.float32)


def put(case, **arrays):
    for name, array in arrays.items():
        out[f"{case}/{name}"] = np.ascontiguousarray(array, np.float32)


def put_tree(case, prefix, tree):
    for path, array in flatten_dict(tree, sep=".").items():
        put(case, **{f"{prefix}.{path}": array})


def layer(case, module, x, rngs=None, **call):
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, **call):
            return module()(x, **call)

    model = Model()
    variables = model.init({"params": jax.random.key(5), **(rngs or {})}, x, **call)
    params = variables.get("params", {})
    stats = {k: v for k, v in variables.items() if k != "params"}

    def f(params, x):
        return model.apply({"params": params, **stats}, x, rngs=rngs, mutable=["batch_stats"], **call)

    y, vjp, updates = jax.vjp(f, params, x, has_aux=True)
    g = normal(99, y.shape)
    grads, dx = vjp(g)
    put(case, input=x, output=y, grad_output=g, grad_input=dx)
    put_tree(case, "params", params)
    put_tree(case, "grads", grads)
    put_tree(case, "batch_stats", updates.get("batch_stats", {}))


image = normal(1, (2, 7, 6, 5))
layer("dense", lambda: nn.Dense(7, bias_init=NORMAL), normal(2, (5, 3)))
layer("dense_he_uniform", lambda: nn.Dense(4, use_bias=False, kernel_init=nn.initializers.he_uniform()), normal(3, (3, 8)))
layer("conv", lambda: nn.Conv(6, (3, 3), 2, bias_init=NORMAL), image)
layer("conv_dilated", lambda: nn.Conv(9, (3, 2), kernel_dilation=2, padding="VALID", use_bias=False), image)
layer("conv_groups", lambda: nn.Conv(10, (3, 3), feature_group_count=5, kernel_init=nn.initializers.glorot_normal()), image)


def batch_norm(**options):
    options = {"use_running_average": False, "momentum": 0.9, **options}
    return lambda: nn.BatchNorm(scale_init=NORMAL, bias_init=NORMAL, **options)


layer("batch_norm", batch_norm(), image)
layer("batch_norm_two_pass", batch_norm(use_fast_variance=False), image)
layer("batch_norm_eval", batch_norm(use_running_average=True), image)
layer("batch_norm_axis", batch_norm(axis=1), image)
constant = image.copy()
constant[..., 2] = 3
layer("batch_norm_constant", batch_norm(), constant)
layer("batch_norm_constant_two_pass", batch_norm(use_fast_variance=False), constant)
layer("batch_norm_far", batch_norm(use_fast_variance=False), normal(4, (4, 7, 7, 3), 1000.0))
layer("batch_norm_one_row", batch_norm(), normal(5, (1, 6)))
mask = np.random.default_rng(6).integers(0, 2, image.shape[:3] + (1,)).astype(bool)
layer("batch_norm_masked", batch_norm(use_fast_variance=False), image, mask=mask)
put("batch_norm_masked", mask=mask[..., 0])
layer("batch_norm_masked_fast", batch_norm(), image, mask=mask)
put("batch_norm_masked_fast", mask=mask[..., 0])
layer("relu", lambda: nn.relu, image)
layer("max_pool", lambda: lambda x: nn.max_pool(x, (3, 2), (2, 1), "SAME"), image)
layer("average_pool", lambda: lambda x: nn.avg_pool(x, (2, 2), (2, 2)), image)
layer("global_average_pool", lambda: lambda x: x.mean((1, 2)), image)
layer("dropout", lambda: nn.Dropout(0.3, deterministic=False), image, rngs={"dropout": jax.random.key(8)})

# Optimizers: a matrix and a vector, the gradients of step t are those of the first times (−1)^t/(t + 1).
MASK = {"kernel": True, "bias": False}
for case, tx in {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "nesterov_decay": optax.chain(optax.add_decayed_weights(1e-2, MASK), optax.sgd(0.1, momentum=0.9, nesterov=True)),
    "adam": optax.adam(1e-2),
    "adamw": optax.adamw(1e-2, weight_decay=1e-2),
    "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
}.items():
    params = {"kernel": normal(20, (3, 4)), "bias": normal(21, (4,))}
    grads = {"kernel": normal(22, (3, 4)), "bias": normal(23, (4,))}
    put_tree(f"optimizer_{case}", "params", params)
    put_tree(f"optimizer_{case}", "grads", grads)
    state = tx.init(params)
    step = jax.jit(lambda g, s, p: (lambda u, s: (optax.apply_updates(p, u), s))(*tx.update(g, s, p)))
    for t in range(5):
        scaled = jax.tree.map(lambda g: np.float32((-1) ** t / (t + 1)) * g, grads)
        params, state = step(scaled, state, params)
        put_tree(f"optimizer_{case}", f"after{t}", params)

path = pathlib.Path(__file__).with_suffix(".safetensors")
save_file(out, path)
print(path.stat().st_size, "bytes")
