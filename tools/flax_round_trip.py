#!/usr/bin/env python3
"""Loads in Flax what hwynn writes and in hwynn what Flax writes, and compares.

    pip install jax==0.10.2 flax==0.12.8 optax==0.2.8 safetensors
    python tools/flax_round_trip.py --hwynn build/release/bin/hwynn

1. Initial values: `hwynn init` against model.init for the same seed, every bit.
2. A TrainState of Flax after two jitted steps: msgpack → safetensors → msgpack has the same bytes.
3. The same as a checkpoint_<n> file, restored by flax.training.checkpoints.
4. A checkpoint that hwynn trained: converted, restored by flax.serialization.from_bytes, the same logits; and back, also
   with its moments in the parts of optax.multi_transform and with params of half precision.
5. An NNX module with lists, whose keys are numbers: msgpack → safetensors → msgpack, restored by nnx.update.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ["FLAX_USE_ORBAX_CHECKPOINTING"] = "false"
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.serialization import from_bytes, msgpack_restore, msgpack_serialize, to_bytes, to_state_dict
from flax.training import checkpoints
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

from flax_models import ResNet, TrainState


def create_state(model, image_shape, tx, seed=0):
    variables = jax.jit(model.init)(jax.random.key(seed), jnp.ones((1, *image_shape)))
    return TrainState.create(apply_fn=model.apply, params=variables["params"], tx=tx,
                             batch_stats=variables["batch_stats"])


@jax.jit
def train_step(state, images, labels):
    def loss(params):
        logits, updates = state.apply_fn({"params": params, "batch_stats": state.batch_stats}, images, train=True,
                                         mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), updates

    gradients, updates = jax.grad(loss, has_aux=True)(state.params)
    return state.apply_gradients(grads=gradients, batch_stats=updates["batch_stats"])


def same(a, b):
    a, b = (dict(jax.tree_util.tree_leaves_with_path(to_state_dict(state))) for state in (a, b))
    return a.keys() == b.keys() and all(np.array_equal(a[path], b[path]) for path in a)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hwynn", default="build/release/bin/hwynn")
    parser.add_argument("--depths", default="18,50", help="of the ResNets whose initial values are compared")
    parser.add_argument("--seeds", default="0,1,42")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flax_round_trip_"))
    path = lambda name: str(folder / name)
    hwynn = lambda *words: subprocess.run([args.hwynn, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    failures = []

    def check(what, ok):
        print(f"{'same' if ok else 'DIFFERENT':10s}{what}", flush=True)
        if not ok:
            failures.append(what)

    for depth in map(int, args.depths.split(",")):
        for seed in map(int, args.seeds.split(",")):
            hwynn("init", "--model", f"resnet{depth}", "--num-classes", 1000, "--seed", seed, "--output", path("i.safetensors"))
            ours = load_file(path("i.safetensors"))
            variables = jax.jit(ResNet(depth, 1000).init)(jax.random.key(seed), jnp.ones((1, 32, 32, 3)))
            theirs = flatten_dict(variables, sep=".")
            check(f"initial values of resnet{depth}, seed {seed}: {sum(x.size for x in theirs.values())} numbers",
                  ours.keys() == theirs.keys() and all(ours[n].tobytes() == np.asarray(theirs[n]).tobytes() for n in ours))

    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(4, 33, 33, 3)).astype(np.float32), jnp.arange(4)
    for name, tx in (("sgd", optax.sgd(0.1)), ("momentum", optax.sgd(0.1, momentum=0.9, nesterov=True)),
                     ("schedule", optax.sgd(optax.cosine_decay_schedule(0.1, 9), momentum=0.9)),
                     ("adam", optax.adam(1e-3)), ("adamw", optax.adamw(1e-3))):
        state = create_state(ResNet(18, 10), (33, 33, 3), tx)
        for _ in range(2):
            state = train_step(state, images, labels)
        (folder / "a.msgpack").write_bytes(to_bytes(state))
        hwynn("convert", path("a.msgpack"), path("b.safetensors"))
        hwynn("convert", path("b.safetensors"), path("c.msgpack"))
        data = (folder / "c.msgpack").read_bytes()
        check(f"ResNet-18 with {name}: msgpack → safetensors → msgpack, {len(data)} bytes", data == to_bytes(state))
        check(f"ResNet-18 with {name}: from_bytes", same(from_bytes(create_state(ResNet(18, 10), (33, 33, 3), tx, 1), data), state))
        flat = load_file(path("b.safetensors"))
        check(f"ResNet-18 with {name}: safetensors, by names",
              all(flat[f"params.{n}"].tobytes() == np.asarray(x).tobytes() for n, x in flatten_dict(state.params, sep=".").items()))
    hwynn("convert", path("a.msgpack"), path("checkpoint_2"))
    check("checkpoint_2 restored by flax.training.checkpoints",
          same(checkpoints.restore_checkpoint(str(folder), create_state(ResNet(18, 10), (33, 33, 3), tx, 1)), state))

    options = ["--dataset", "synthetic", "--model", "resnet18", "--width", 0.25, "--batch-size", 32, "--max-steps", 3]
    hwynn("train", *options, "--output", path("run"), "--nesterov", "--warmup-epochs", 0.1)
    native = path("run/checkpoint.safetensors")
    hwynn("convert", native, path("d.msgpack"))
    target = create_state(ResNet(18, 10, 16), (28, 28, 1), optax.sgd(optax.constant_schedule(0.1), momentum=0.9), 1)
    state = from_bytes(target, (folder / "d.msgpack").read_bytes())
    images = rng.normal(size=(5, 29, 28, 1)).astype(np.float32)
    save_file({"x": images}, path("x.safetensors"))
    hwynn("predict", "--checkpoint", native, "--arrays", path("x.safetensors"), "--output", path("y.safetensors"))
    ours = load_file(path("y.safetensors"))["logits"]
    theirs = state.apply_fn({"params": state.params, "batch_stats": state.batch_stats}, images)
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    check(f"logits of hwynn's checkpoint in Flax, {error:.1e} of the largest apart, step {state.step}", error < 1e-5)
    check("bytes of hwynn's new TrainState and of Flax's to_bytes of it",
          to_bytes(jax.jit(lambda s: s)(state)) == (folder / "d.msgpack").read_bytes())
    hwynn("convert", path("d.msgpack"), path("e.safetensors"), "--like", native)
    before, after = load_file(native), load_file(path("e.safetensors"))
    check("hwynn's checkpoint → msgpack → hwynn's checkpoint, arrays",
          before.keys() == after.keys() and all(before[n].tobytes() == after[n].tobytes() for n in before))

    # The same state, its moments in the two parts of a multi_transform, and in half precision.
    labels = jax.tree_util.tree_map_with_path(lambda p, _: "a" if p[-1].key == "kernel" else "b", state.params)
    momentum = optax.sgd(optax.constant_schedule(0.1), momentum=0.9)
    parts = optax.multi_transform({"a": momentum, "b": momentum}, labels)
    masked = lambda label: jax.tree.map(lambda x, l: x if l == label else optax.MaskedNode(), state.opt_state[0].trace, labels)
    inner = {label: optax.MaskedState((optax.TraceState(masked(label)), optax.ScaleByScheduleState(state.step))) for label in "ab"}
    two = TrainState.create(apply_fn=None, params=state.params, tx=parts, batch_stats=state.batch_stats).replace(
        step=state.step, opt_state=optax.MultiTransformState(inner))
    (folder / "f.msgpack").write_bytes(to_bytes(two))
    hwynn("convert", path("f.msgpack"), path("f.safetensors"), "--like", native)
    after = load_file(path("f.safetensors"))
    check("multi_transform → hwynn's checkpoint, arrays", all(before[n].tobytes() == after[n].tobytes() for n in before))
    (folder / "g.msgpack").write_bytes(to_bytes({"params": jax.tree.map(lambda x: x.astype(jnp.bfloat16), state.params),
                                                 "batch_stats": state.batch_stats}))
    hwynn("convert", path("g.msgpack"), path("g.safetensors"), "--like", native)
    after = load_file(path("g.safetensors"))
    check("bfloat16 params → hwynn's checkpoint", all(
        after[f"params.{n}"].tobytes() == np.asarray(x.astype(jnp.bfloat16).astype(jnp.float32)).tobytes()
        for n, x in flatten_dict(state.params, sep=".").items()))

    class Layers(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(2, 3, rngs=rngs) for _ in range(12)])
            self.head = nnx.Sequential(nnx.Linear(3, 2, rngs=rngs), nnx.relu, nnx.BatchNorm(2, rngs=rngs))

    pure = nnx.to_pure_dict(nnx.state(Layers(nnx.Rngs(0))))
    data = msgpack_serialize(pure)
    (folder / "h.msgpack").write_bytes(data)
    hwynn("convert", path("h.msgpack"), path("h.safetensors"))
    hwynn("convert", path("h.safetensors"), path("i.msgpack"))
    back = msgpack_restore((folder / "i.msgpack").read_bytes())
    check(f"NNX's lists: msgpack → safetensors → msgpack, {len(data)} bytes", (folder / "i.msgpack").read_bytes() == data)
    module = Layers(nnx.Rngs(1))
    nnx.update(module, back)
    check("NNX's lists restored into a module", np.array_equal(module.layers[11].kernel[...], pure["layers"][11]["kernel"]))
    if failures:
        sys.exit(f"{len(failures)} differ; files in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
