"""Writes tests/golden/flax_programs.safetensors: inputs, arguments and Flax's last line for the programs of examples/.

Made with jax 0.10.2, flax 0.12.8, optax 0.2.8, safetensors on x86-64:
    pip install jax==0.10.2 flax==0.12.8 optax==0.2.8 safetensors && python tests/golden/flax_programs.py

Names: <program>/<case>/<array>, <program>/<case>/expected; the metadata has the arguments under <program>/<case>.
"""

import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))
import compare_flax_programs as flax  # noqa: E402

arrays, metadata = {}, {}


def put(program, case, inputs, **options):
    name = f"{program.__name__}/{case}"
    expected = np.array(program(inputs, **options, jitted=True), np.float32)
    for key, value in {**inputs, "expected": expected}.items():
        arrays[f"{name}/{key}"] = value
    metadata[name] = " ".join(flax.command_line(options))


def normal(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 1.5, shape).astype(np.float32)


def labels(seed, n, classes):
    return np.random.default_rng(seed).integers(0, classes, n).astype(np.int32)


rows = {"x": normal(1, 23, 5), "y": normal(2, 23, 3)}
put(flax.nnx_train_with_batch_norm, 0, rows, seed=7, batch_size=6, learning_rate=0.05, steps=7)
put(flax.nnx_train_with_batch_norm, 1, rows, seed=-3, batch_size=23, learning_rate=0.01, steps=1)
scalars = {"x": normal(3, 17, 4), "y": normal(4, 17)}
put(flax.linen_train_step, 0, scalars, seed=11, learning_rate=0.02, hidden=9, momentum=0.9)
put(flax.linen_train_step, 1, scalars, seed=2**31 - 1, learning_rate=0.002, hidden=33, momentum=0.995)
for average in (0, 1):
    put(flax.linen_own_batch_norm, average, {"x": normal(5, 13, 7)}, seed=1, use_running_average=average)
put(flax.nnx_conv_batch_norm, 0, {"x": normal(6, 2, 3, 4, 5)})
put(flax.nnx_conv_batch_norm, 1, {"x": normal(7, 1, 5, 2, 17), "x2": normal(8, 1, 5, 2, 17)})
guide = {"image": normal(9, 20, 6), "label": labels(10, 20, 4)}
put(flax.linen_guide_mlp, 0, guide, seed=3, features=[12, 4], learning_rate=0.0001, steps=3)
put(flax.linen_guide_mlp, 1, guide, seed=4, features=[7, 5, 4], learning_rate=0.01, steps=1, without_batch_norm=True)
images = {"x": normal(11, 3, 33, 35, 3), "y": labels(12, 3, 6)}
put(flax.flax_resnet_steps, 0, images, model="resnet18", num_classes=6, seed=5, steps=2, batch_size=3,
    learning_rate=0.001)

path = pathlib.Path(__file__).with_suffix(".safetensors")
save_file(arrays, path, metadata)
print(path.stat().st_size, "bytes")
