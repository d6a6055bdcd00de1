"""Flax on JAX (XLA), jitted. The number of threads is that of the processors it may run on."""

from functools import partial

import serve  # first: it finds flax_models
import flax
import jax
import jax.numpy as jnp
import optax
from flax_models import ResNet, TrainState


def training(model, variables, images, labels):
    tx = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.01, momentum=0.9))
    state = TrainState.create(apply_fn=model.apply, params=variables["params"], tx=tx,
                              batch_stats=variables["batch_stats"])

    @partial(jax.jit, donate_argnums=0)
    def step(state):
        def loss(params):
            logits, updates = model.apply({"params": params, "batch_stats": state.batch_stats}, images, train=True,
                                          mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), updates

        gradients, updates = jax.grad(loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=gradients, batch_stats=updates["batch_stats"])

    def run():
        nonlocal state
        state = jax.block_until_ready(step(state))

    return run


case, threads = serve.arguments()
if not case["model"].startswith("resnet"):
    raise SystemExit(f"no {case['model']} in Flax here")
model = ResNet(int(case["model"].removeprefix("resnet")), case["classes"])
images = jax.random.normal(jax.random.key(1), (case["batch"], case["size"], case["size"], case["channels"]))
variables = jax.jit(model.init)(jax.random.key(0), images[:1])
if case["kind"] == "train":
    run = training(model, variables, images, jnp.arange(case["batch"]) % case["classes"])
else:
    apply = jax.jit(model.apply)
    run = lambda: apply(variables, images).block_until_ready()
serve.serve(f"Flax {flax.__version__}, JAX {jax.__version__}", run)
