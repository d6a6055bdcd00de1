"""Writes the files of tests/golden/flax_*.msgpack and flax_formats.safetensors: checkpoints by Flax, and their numbers.

Made with jax 0.10.2, flax 0.12.8, optax 0.2.8, msgpack 1.2.4 on x86-64:
    pip install jax==0.10.2 flax==0.12.8 optax==0.2.8 msgpack==1.2.4 safetensors && python tests/golden/formats_golden.py
"""

import pathlib
from typing import Any

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from flax.training import train_state
from safetensors.numpy import save_file

GOLDEN = pathlib.Path(__file__).resolve().parent
numbers = {}


class Mlp(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(5)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        return nn.Dense(3)(x)


class TrainState(train_state.TrainState):
    batch_stats: Any
    dynamic_scale: Any = None


def train(tx, jitted):
    model = Mlp()
    x = jax.random.normal(jax.random.key(1), (8, 4))
    label = jnp.arange(8) % 3
    variables = model.init(jax.random.key(0), x, train=False)
    state = TrainState.create(apply_fn=model.apply, params=variables["params"], tx=tx,
                              batch_stats=variables["batch_stats"])

    def step(state):
        def loss(params):
            logits, updates = state.apply_fn({"params": params, "batch_stats": state.batch_stats}, x, train=True,
                                             mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean(), updates

        gradients, updates = jax.grad(loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=gradients, batch_stats=updates["batch_stats"])

    for _ in range(2):
        state = (jax.jit(step) if jitted else step)(state)
    return state


def moments(state, found):
    """The trees of trace, mu and nu, from whatever parts of an optimizer's state."""
    for key, value in state.items():
        if key in ("trace", "mu", "nu"):
            found.setdefault(f"opt_state/{key}", {}).update(
                {path: array for path, array in flatten_dict(value).items() if not isinstance(array, dict)})
        elif isinstance(value, dict):
            moments(value, found)
    return found


def save(case, state):
    (GOLDEN / f"flax_{case}.msgpack").write_bytes(flax.serialization.to_bytes(state))
    tree = flax.serialization.to_state_dict(state)
    parts = {"params": tree["params"], "batch_stats": tree["batch_stats"]}
    parts |= {part: unflatten_dict(arrays) for part, arrays in moments(tree["opt_state"], {}).items()}
    for part, arrays in parts.items():
        for path, array in flatten_dict(arrays, sep="/").items():
            numbers[f"{case}/{part}/{path}"] = np.asarray(array).astype(np.float32)


# Jitted: int32 arrays for step and count, sorted dictionaries.
save("adam", train(optax.adam(1e-2), jitted=True))
save("adamw", train(optax.adamw(1e-2), jitted=True))
# Not jitted: a plain integer for step, dictionaries in the order of their making; and chunks of at most 64 bytes.
flax.serialization.MAX_CHUNK_SIZE = 64
schedule = optax.cosine_decay_schedule(0.1, 10)
save("momentum_chunked", train(optax.sgd(schedule, momentum=0.9, nesterov=True), jitted=False))
flax.serialization.MAX_CHUNK_SIZE = 2**30

# Kernels and the rest in an optimizer each; the last layer is frozen.
labels = {"Dense_0": {"kernel": "kernels", "bias": "rest"}, "BatchNorm_0": "rest", "Dense_1": "frozen"}
save("multi_transform", train(optax.multi_transform(
    {"kernels": optax.adamw(1e-2), "rest": optax.adam(1e-3), "frozen": optax.set_to_zero()}, labels), jitted=True))

# A state of half precision.
half = train(optax.sgd(0.1, momentum=0.9), jitted=True)
cast = lambda tree, dtype: jax.tree.map(lambda x: x.astype(dtype), tree)
save("half", half.replace(params=cast(half.params, jnp.bfloat16), batch_stats=cast(half.batch_stats, jnp.float16)))


# NNX: the items of lists have numbers as keys.
class Layers(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(2, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs)])
        self.head = nnx.Sequential(nnx.Linear(3, 2, rngs=rngs), nnx.relu, nnx.Linear(2, 1, rngs=rngs))


model = Layers(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
pure = {"params": nnx.to_pure_dict(nnx.state(model, nnx.Param)), "batch_stats": nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)),
        **nnx.to_pure_dict(nnx.state(optimizer))}
(GOLDEN / "flax_nnx.msgpack").write_bytes(flax.serialization.msgpack_serialize(pure))

types = {
    "integers": [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -32, -33, -128, -129,
                 -32768, -32769, -2**31, -2**31 - 1, -2**63],
    "floats": [0.0, -0.0, 1.5, float("inf"), 1e-300],
    "others": [None, True, False, "", "a" * 31, "é" * 16, "b" * 256],
    "many": {f"key {i}": i for i in range(300, 0, -1)},
    "list": list(range(20)),
    "empty": {},
    "arrays": {
        "z": np.float32(1.5),
        "complex": np.array([1 + 2j], np.complex64),
        "scalar": np.array(7, np.int32),
        "none": np.zeros((0, 3), np.float32),
        "bool": np.array([True, False]),
        "bf16": jnp.arange(3, dtype=jnp.bfloat16),
        "f16": np.arange(300, dtype=np.float16).reshape(3, 100),
        "f64": np.arange(600, dtype=np.float64),
        "u8": np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
        "i64": np.array([-(2**40)], np.int64),
    },
}
(GOLDEN / "flax_types.msgpack").write_bytes(flax.serialization.msgpack_serialize(types, in_place=True))
save_file(numbers, GOLDEN / "flax_formats.safetensors")
