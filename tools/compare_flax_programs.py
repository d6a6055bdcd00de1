#!/usr/bin/env python3
"""Runs the six Flax programs of examples/ beside the Flax programs they stand for, on random inputs.

    pip install jax==0.10.2 flax==0.12.8 optax==0.2.8 safetensors
    python tools/compare_flax_programs.py [--programs build/release/bin] [--cases 20] [--seed 0] [--only NAME]

Errors are the largest difference over the largest value of the line, to the nearer of Flax eager and Flax jitted. A case
fails where that is more than the tolerance, 1e-5, or 1e-6 for one step, though Flax's two ways agree that well.
Cases in which they don't are counted as ill-conditioned.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from safetensors.numpy import save_file

from flax_models import ResNet, TrainState


def nnx_train_with_batch_norm(arrays, seed, batch_size, learning_rate, steps, jitted):
    x, y = arrays["x"], arrays["y"]

    class Model(nnx.Module):
        def __init__(self, din, dout, rngs):
            self.linear1 = nnx.Linear(din, 8, rngs=rngs)
            self.bn = nnx.BatchNorm(8, rngs=rngs)
            self.linear2 = nnx.Linear(8, dout, rngs=rngs)

        def __call__(self, x):
            return self.linear2(nnx.relu(self.bn(self.linear1(x))))

    model = Model(x.shape[1], y.shape[1], nnx.Rngs(seed))
    optimizer = nnx.Optimizer(model, optax.sgd(learning_rate), wrt=nnx.Param)
    model.train()

    def train_step(model, optimizer, x, y):
        loss, grads = nnx.value_and_grad(lambda model: ((model(x) - y) ** 2).mean())(model)
        optimizer.update(model, grads)

    step = nnx.jit(train_step) if jitted else train_step
    for t in range(steps):
        i = t % (len(x) // batch_size) * batch_size
        step(model, optimizer, x[i:i + batch_size], y[i:i + batch_size])
    model.eval()
    return [np.mean(np.asarray(model(x), np.float64))]


def linen_train_step(arrays, seed, learning_rate, hidden, momentum, jitted):
    x, y = arrays["x"], arrays["y"]

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.Dense(hidden)(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=momentum)(x)
            return nn.Dense(1)(nn.relu(x))

    model = Model()
    variables = model.init(jax.random.key(seed), x, train=False)
    params, batch_stats = variables["params"], variables["batch_stats"]
    tx = optax.sgd(learning_rate)

    def step(params, batch_stats, opt_state):
        def loss_fn(params):
            prediction, updates = model.apply({"params": params, "batch_stats": batch_stats}, x, train=True,
                                              mutable=["batch_stats"])
            return jnp.mean((prediction[:, 0] - y) ** 2), updates

        (loss, updates), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        deltas, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, deltas), updates["batch_stats"]

    def evaluate(params, batch_stats):
        prediction = model.apply({"params": params, "batch_stats": batch_stats}, x, train=False)
        return jnp.mean((prediction[:, 0] - y) ** 2)

    if jitted:
        step, evaluate = jax.jit(step), jax.jit(evaluate)
    return [evaluate(*step(params, batch_stats, tx.init(params)))]


def linen_own_batch_norm(arrays, seed, use_running_average, jitted):
    class MyBatchNorm(nn.Module):
        @nn.compact
        def __call__(self, x, use_running_average):
            d = x.shape[-1]
            gamma = self.param("gamma", nn.initializers.ones, (d,))
            beta = self.param("beta", nn.initializers.zeros, (d,))
            running_mean = self.variable("batch_stats", "running_mean", jnp.zeros, (d,))
            running_var = self.variable("batch_stats", "running_var", jnp.ones, (d,))
            if use_running_average:
                mean, var = running_mean.value, running_var.value
            else:
                mean, var = jnp.mean(x, 0), jnp.var(x, 0)
                if not self.is_initializing():
                    running_mean.value = 0.9 * running_mean.value + 0.1 * mean
                    running_var.value = 0.9 * running_var.value + 0.1 * var
            return gamma * (x - mean) / jnp.sqrt(var + 1e-5) + beta

    model, running = MyBatchNorm(), bool(use_running_average)
    variables = model.init(jax.random.key(seed), arrays["x"], running)
    apply = lambda variables, x: model.apply(variables, x, running, mutable=["batch_stats"])[0]
    return np.ravel((jax.jit(apply) if jitted else apply)(variables, arrays["x"]))


def nnx_conv_batch_norm(arrays, jitted):
    class ConvBatchNorm(nnx.Module):
        def __init__(self, c):
            self.gamma = nnx.Param(jnp.ones((1, 1, 1, c)))
            self.beta = nnx.Param(jnp.zeros((1, 1, 1, c)))
            self.moving_mean = nnx.BatchStat(jnp.zeros((1, 1, 1, c)))
            self.moving_var = nnx.BatchStat(jnp.ones((1, 1, 1, c)))
            self.use_running_average = False

        def __call__(self, x):
            if self.use_running_average:
                mean, var = self.moving_mean[...], self.moving_var[...]
            else:
                mean, var = jnp.mean(x, (0, 1, 2), keepdims=True), jnp.var(x, (0, 1, 2), keepdims=True)
                self.moving_mean[...] = 0.9 * self.moving_mean[...] + 0.1 * mean
                self.moving_var[...] = 0.9 * self.moving_var[...] + 0.1 * var
            return self.gamma[...] * (x - mean) / jnp.sqrt(var + 1e-5) + self.beta[...]

    norm = ConvBatchNorm(arrays["x"].shape[-1])
    call = nnx.jit(lambda norm, x: norm(x)) if jitted else lambda norm, x: norm(x)
    trained = call(norm, arrays["x"])
    if "x2" in arrays:
        call(norm, arrays["x2"])
    norm.eval()
    evaluated = call(norm, arrays["x"])
    return np.concatenate([np.ravel(a) for a in (trained, norm.moving_mean[...], norm.moving_var[...], evaluated)])


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def train_step(state, x, y):
    def loss_fn(params):
        logits, updates = state.apply_fn({"params": params, "batch_stats": state.batch_stats}, x, train=True,
                                         mutable=["batch_stats"])
        return cross_entropy(logits, y), (logits, updates)

    (loss, (logits, updates)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    state = state.apply_gradients(grads=grads)
    return state.replace(batch_stats=updates.get("batch_stats", {})), loss, jnp.mean(jnp.argmax(logits, -1) == y)


def eval_step(state, x, y):
    logits = state.apply_fn({"params": state.params, "batch_stats": state.batch_stats}, x, train=False)
    return cross_entropy(logits, y), jnp.mean(jnp.argmax(logits, -1) == y), logits


def make_state(model, seed, x, tx):
    variables = model.init(jax.random.key(seed), x[:1], train=False)
    return TrainState.create(apply_fn=model.apply, params=variables["params"], tx=tx,
                             batch_stats=variables.get("batch_stats", {}))


def linen_guide_mlp(arrays, seed, features, learning_rate, steps, jitted, without_batch_norm=False):
    class Mlp(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            for width in features[:-1]:
                x = nn.Dense(width)(x)
                if not without_batch_norm:
                    x = nn.BatchNorm(use_running_average=not train)(x)
                x = nn.relu(x)
            return nn.Dense(features[-1])(x)

    x, y = arrays["image"], arrays["label"]
    state = make_state(Mlp(), seed, x, optax.adam(learning_rate))
    train, evaluate = (jax.jit(train_step), jax.jit(eval_step)) if jitted else (train_step, eval_step)
    values = []
    for _ in range(steps):
        state, loss, accuracy = train(state, x, y)
        values += [loss, accuracy]
    return values + list(evaluate(state, x, y)[:2])


def flax_resnet_steps(arrays, model, num_classes, seed, steps, batch_size, learning_rate, jitted):
    x, y = arrays["x"], arrays["y"]
    tx = optax.sgd(learning_rate, momentum=0.9, nesterov=True)
    state = make_state(ResNet(int(model.removeprefix("resnet")), num_classes), seed, x, tx)
    train, evaluate = (jax.jit(train_step), jax.jit(eval_step)) if jitted else (train_step, eval_step)
    values = []
    for t in range(steps):
        i = t % (len(x) // batch_size) * batch_size
        state, loss, _ = train(state, x[i:i + batch_size], y[i:i + batch_size])
        values.append(loss)
    return values + list(np.asarray(evaluate(state, x[:1], y[:1])[2][0]))


def draw(name, rng):
    """Arrays and arguments of a random case; whether it is one step at most."""
    integer = lambda low, high: int(rng.integers(low, high + 1))
    normal = lambda *shape: (rng.normal(rng.normal(), rng.uniform(0.5, 3), shape)).astype(np.float32)
    rate = lambda: round(10 ** rng.uniform(-3, -1), 5)
    seed = integer(0, 2**31 - 1)
    if name == "nnx_train_with_batch_norm":
        n, steps = integer(8, 70), integer(1, 12)
        arrays = {"x": normal(n, integer(1, 20)), "y": normal(n, integer(1, 5))}
        return arrays, dict(seed=seed, batch_size=integer(4, n), learning_rate=rate(), steps=steps), steps == 1
    if name == "linen_train_step":
        n = integer(4, 70)
        arrays = {"x": normal(n, integer(1, 20)), "y": normal(n)}
        return arrays, dict(seed=seed, learning_rate=rate(), hidden=integer(1, 40),
                            momentum=round(rng.uniform(0.5, 0.999), 3)), True
    if name == "linen_own_batch_norm":
        return {"x": normal(integer(2, 60), integer(1, 40))}, dict(seed=seed, use_running_average=integer(0, 1)), True
    if name == "nnx_conv_batch_norm":
        shape = integer(1, 4), integer(2, 9), integer(2, 9), integer(1, 40)
        arrays = {"x": normal(*shape)}
        if integer(0, 1):
            arrays["x2"] = normal(*shape)
        return arrays, {}, True
    if name == "linen_guide_mlp":
        n, classes, steps = integer(4, 60), integer(2, 10), integer(1, 8)
        arrays = {"image": normal(n, integer(2, 20)), "label": rng.integers(0, classes, n).astype(np.int32)}
        arguments = dict(seed=seed, features=[integer(2, 30), classes], learning_rate=rate(), steps=steps)
        if integer(0, 3) == 0:
            arguments["without_batch_norm"] = True
        return arrays, arguments, steps == 1
    classes, steps, n = integer(2, 20), integer(1, 3), integer(2, 5)
    size = integer(33, 80)
    arrays = {"x": normal(n, size, size + integer(-9, 9), 3), "y": rng.integers(0, classes, n).astype(np.int32)}
    return arrays, dict(model=["resnet18", "resnet34", "resnet50"][integer(0, 2)], num_classes=classes, seed=seed,
                        steps=steps, batch_size=integer(2, n), learning_rate=round(rate() / 10, 6)), steps == 1


def command_line(options):
    words = []
    for name, value in options.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(",".join(map(str, value)) if isinstance(value, list) else str(value))
    return words


def run(program, arrays, options, folder):
    inputs = folder / "inputs.safetensors"
    save_file(arrays, inputs)
    result = subprocess.run([program, "--inputs", inputs, *command_line(options)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{program} {' '.join(command_line(options))}: {result.stderr}")
    return np.array(result.stdout.splitlines()[-1].split(), np.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("build/release/bin"))
    parser.add_argument("--cases", type=int, default=20, help="of each program")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only")
    arguments = parser.parse_args()
    programs = [nnx_train_with_batch_norm, linen_train_step, linen_own_batch_norm, nnx_conv_batch_norm,
                linen_guide_mlp, flax_resnet_steps]
    failed = 0
    for program in programs:
        name = program.__name__
        if arguments.only not in (None, name):
            continue
        worst, ill_conditioned = 0, 0
        for case in range(arguments.cases):
            rng = np.random.default_rng([arguments.seed, programs.index(program), case])
            arrays, options, one_step = draw(name, rng)
            with tempfile.TemporaryDirectory() as folder:
                ours = run(arguments.programs / name, arrays, options, pathlib.Path(folder))
            jitted = np.array(program(arrays, **options, jitted=True), np.float64)
            eager = np.array(program(arrays, **options, jitted=False), np.float64)
            if ours.shape != jitted.shape:
                sys.exit(f"{name} {options}: {ours.size} values, Flax has {jitted.size}")
            scale = np.abs(jitted).max()
            error = min(np.abs(ours - other).max() for other in (jitted, eager)) / scale
            spread = np.abs(eager - jitted).max() / scale
            tolerance = 1e-6 if one_step else 1e-5
            if spread > tolerance:
                ill_conditioned += 1
                continue
            worst = max(worst, error)
            if not error <= tolerance:
                failed += 1
                shapes = {key: value.shape for key, value in arrays.items()}
                print(f"FAILED {name} case {case}: error {error:.1e}, Flax's own {spread:.1e}; {options} {shapes}")
        print(f"{name}: {arguments.cases} cases, {ill_conditioned} ill-conditioned, worst error of the others {worst:.1e}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
