"""Prints the golden values of tests/core/random_test.cc and tests/layers/initializers_test.cc.

Made with jax 0.10.2, flax 0.12.8 on x86-64: pip install jax==0.10.2 flax==0.12.8. Arrays are given as the SHA-1 of
their little-endian bytes.
"""

import hashlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax._src.random import core as random_core

random = jax.random
initializers = jax.nn.initializers


def show(name, values):
    values = np.asarray(values)
    first = " ".join(f"{v:08x}" for v in values.reshape(-1)[:4].view(np.uint32)) if values.itemsize == 4 else ""
    print(f"{name:50s} {hashlib.sha1(values.tobytes()).hexdigest()} {first}")


def show_exhaustively(name, draw):
    """All 2**23 results of a distribution: every mantissa, in order, in place of random bits."""
    random_bits = random_core._random_bits
    random_core._random_bits = lambda key, width, shape: jnp.arange(2**23, dtype=jnp.uint32) << 9
    show(name, draw(random.key(0), (2**23,)))
    random_core._random_bits = random_bits


key = random.key(42)
show("bits (100003,)", random.bits(key, (100003,)))
show("uniform (100003,) -0.3 0.7", random.uniform(key, (100003,), minval=-0.3, maxval=0.7))
show("normal (100003,)", random.normal(key, (100003,)))
show("truncated_normal (100003,)", random.truncated_normal(key, -2, 2, (100003,)))
show("bernoulli 0.3 (100003,)", random.bernoulli(key, 0.3, (100003,)))
show("permutation 60000", random.permutation(key, 60000))
print("permutation 10", random.permutation(key, 10))
with jax.threefry_partitionable(False):
    show("legacy normal (100003,)", random.normal(key, (100003,)))
    print("legacy permutation 10", random.permutation(key, 10))
    show("legacy permutation 60000", random.permutation(key, 60000))

for name in ("lecun_normal", "lecun_uniform", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform"):
    for seed, shape in ((7, (37, 53)), (-3, (3, 5, 7, 11))):
        show(f"{name} {seed} {shape}", getattr(initializers, name)()(random.key(seed), shape))
for distribution in ("truncated_normal", "normal", "uniform"):
    draw = initializers.variance_scaling(0.7, "fan_out", distribution)
    show(f"variance_scaling 0.7 fan_out {distribution}", draw(random.key(7), (3, 5, 7, 11)))
show("normal(0.02) (37, 53)", initializers.normal(0.02)(random.key(7), (37, 53)))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(13, (3, 5), bias_init=nn.initializers.normal(0.02))(x)
        return nn.Dense(11)(nn.BatchNorm(use_running_average=True, bias_init=nn.initializers.normal(0.02))(x))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        for i in range(300):
            last = self.param(f"p{i}", nn.initializers.normal(1.0), (2,))
        return Block()(x), last


params = Net().init(random.key(3), jnp.ones((1, 8, 8, 7)))["params"]
for path in ("p0", "p254", "p255", "p299"):
    show(path, params[path])
block = params["Block_0"]
for layer, name in (("Conv_0", "kernel"), ("Conv_0", "bias"), ("BatchNorm_0", "bias"), ("Dense_0", "kernel")):
    show(f"Block_0/{layer}/{name}", block[layer][name])

show_exhaustively("all normals", random.normal)
show_exhaustively("all truncated normals", lambda key, shape: random.truncated_normal(key, -2, 2, shape))
