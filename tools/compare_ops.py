#!/usr/bin/env python3
"""Draws random cases, runs them through op_driver on every target and with every algorithm, and compares the results
with JAX in float64 (docs/op_driver.md):

    pip install jax numpy safetensors
    tools/compare_ops.py --cases 300 --seed 1

A case that fails is kept in a folder, to be run again with --replay. Exit code 1 when any did.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import op_references

ROOT = pathlib.Path(__file__).resolve().parent.parent
LARGEST_WORK = 3e7  # multiplications of a case
UNDERFLOW = 2.0**-126  # below it float32 has fewer bits


class Draw:
    """Random cases: each method returns (inputs, attributes), or None when what it drew doesn't fit together."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def chance(self, p):
        return self.rng.random() < p

    def between(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def choice(self, *values):
        return values[self.rng.integers(len(values))]

    def normal(self, *shape):
        mean, std = self.choice((0, 1), (0.5, 1), (-3, 0.25), (0, 30))
        return (mean + std * self.rng.standard_normal(shape)).astype(np.float32)

    def channels(self):
        return self.between(1, 70) if self.chance(0.85) else self.between(71, 600)

    def extent(self):
        return 1 if self.chance(0.12) else self.between(2, 21)

    def images(self):
        return [self.between(1, 4), self.extent(), self.extent(), self.channels()]

    def geometry(self, default_padding):
        attributes = {}
        if self.chance(0.5):
            attributes["stride"] = [self.choice(1, 1, 2, 2, 3, 4, 9), self.choice(1, 1, 2, 2, 3, 5, 25)]
        padding = self.choice("SAME", "VALID", "explicit")
        if padding == "explicit":
            padding = [[self.between(0, 4), self.between(0, 4)], [self.between(0, 4), self.between(0, 4)]]
        if padding != default_padding or self.chance(0.5):
            attributes["padding"] = padding
        return attributes

    @staticmethod
    def output_extents(attributes, default_padding, image, extents):
        """[OH,OW], or None when a window is larger than the padded image."""
        result = []
        padding = attributes.get("padding", default_padding)
        for axis in range(2):
            stride = attributes.get("stride", (1, 1))[axis]
            if padding == "SAME":
                result.append(-(-image[axis] // stride))
                continue
            room = image[axis] - extents[axis] + (0 if padding == "VALID" else sum(padding[axis]))
            if room < 0:
                return None
            result.append(room // stride + 1)
        return result

    def convolution(self):
        n, h, w, ic = self.images()
        oc, groups, attributes = self.channels(), 1, self.geometry("SAME")
        kernel = [self.choice(1, 1, 2, 3, 3, 4, 5, 7, 12), self.choice(1, 1, 2, 3, 3, 4, 5, 7, 23)]
        kind = self.rng.choice(["any", "winograd", "depthwise", "groups"], p=[0.35, 0.3, 0.2, 0.15])
        if kind == "winograd":
            kernel = [3, 3]
            attributes.pop("stride", None)
        elif kind == "depthwise":  # now and then with several filters a channel
            groups, oc = ic, ic * self.choice(1, 1, 1, 2)
        elif kind == "groups":
            groups = self.between(2, 5)
            ic, oc = groups * self.between(1, 20), groups * self.between(1, 20)
        if kind != "winograd" and self.chance(0.3):
            attributes["dilation"] = [self.between(1, 4), self.between(1, 4)]
        if groups > 1:
            attributes["groups"] = groups
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, attributes.get("dilation", (1, 1)))]
        output = self.output_extents(attributes, "SAME", (h, w), extents)
        filter_shape = [*kernel, ic // groups, oc]
        if output is None or n * np.prod(output) * np.prod(filter_shape) > LARGEST_WORK:
            return None
        return [n, h, w, ic], filter_shape, [n, *output, oc], attributes

    def prologue(self, channels):
        """More inputs and attributes: a normalisation of the input."""
        inputs, attributes = {}, {}
        if self.chance(0.5):
            return inputs, attributes
        inputs["prologue_mean"] = self.normal(channels)
        inputs["prologue_var"] = np.exp(self.rng.normal(0, 2, channels)).astype(np.float32)
        for name in ("prologue_scale", "prologue_bias"):
            if self.chance(0.7):
                inputs[name] = self.normal(channels)
        if self.chance(0.5):
            attributes["prologue_epsilon"] = self.choice(0, 1e-5, 1e-3, 1)
        if self.chance(0.6):
            attributes["prologue_relu"] = self.choice(True, True, False)
        return inputs, attributes

    def conv2d_forward(self):
        if (drawn := self.convolution()) is None:
            return None
        image, filter_shape, output, attributes = drawn
        more_inputs, more_attributes = self.prologue(image[3])
        inputs = {"input": self.normal(*image), "filter": self.normal(*filter_shape)} | more_inputs
        for name, shape in (("epilogue_scale", filter_shape[3:]), ("bias", filter_shape[3:]), ("residual", output)):
            if self.chance(0.4):
                inputs[name] = self.normal(*shape)
        for name in ("relu", "statistics"):
            if self.chance(0.4):
                more_attributes[name] = self.choice(True, True, False)
        return inputs, attributes | more_attributes

    def conv2d_backward_input(self):
        if (drawn := self.convolution()) is None:
            return None
        image, filter_shape, output, attributes = drawn
        return ({"grad_output": self.normal(*output), "filter": self.normal(*filter_shape)},
                attributes | {"input_shape": image})

    def conv2d_backward_filter(self):
        if (drawn := self.convolution()) is None:
            return None
        image, filter_shape, output, attributes = drawn
        more_inputs, more_attributes = self.prologue(image[3])
        return ({"input": self.normal(*image), "grad_output": self.normal(*output)} | more_inputs,
                attributes | more_attributes | {"filter_shape": filter_shape})

    def batch_norm(self):
        shape = [self.between(1, 700), self.channels()] if self.chance(0.3) else self.images()
        channels = shape[-1]
        # Each channel has its own mean and spread, up to mean/std = 1000.
        spread = np.exp(self.rng.normal(0, 1, channels))
        mean = self.rng.normal(0, 1, channels) * self.choice(0, 1, 30, 1000) * spread
        values = {
            "input": self.rng.normal(mean, spread, shape),
            "scale": self.rng.normal(1, 0.5, channels),
            "bias": self.rng.normal(0, 1, channels),
        }
        attributes = {"epsilon": self.choice(1e-5, 1e-3, 1e-6)} if self.chance(0.5) else {}
        return {name: x.astype(np.float32) for name, x in values.items()}, attributes

    def batch_norm_forward(self):
        inputs, attributes = self.batch_norm()
        if self.chance(0.7):
            attributes["variance"] = self.choice("stable", "fast", "two_pass")
        if self.chance(0.4):
            attributes["relu"] = self.choice(True, False)
        shape = inputs["input"].shape
        if self.chance(0.4):
            inputs["residual"] = self.normal(*shape)
        if self.chance(0.3):
            extents = [e if self.chance(0.8) else 1 for e in shape[:-1]] + [1] * self.between(0, 1)
            mask = self.rng.random(extents) < 0.6
            mask.flat[0] = True  # at least one row
            inputs["mask"] = mask if self.chance(0.5) else mask.astype(np.uint8)
        return inputs, attributes

    def batch_norm_inference(self):
        inputs, attributes = self.batch_norm()
        channels = inputs["scale"].size
        inputs["mean"] = self.normal(channels)
        inputs["var"] = np.exp(self.rng.normal(0, 2, channels)).astype(np.float32)
        if self.chance(0.4):
            attributes["relu"] = self.choice(True, False)
        if self.chance(0.4):
            inputs["residual"] = self.normal(*inputs["input"].shape)
        return inputs, attributes

    def batch_norm_backward(self):
        inputs, attributes = self.batch_norm()
        del inputs["bias"]
        if self.chance(0.5):
            attributes["variance"] = self.choice("stable", "fast", "two_pass")
        return inputs | {"grad_output": self.normal(*inputs["input"].shape)}, attributes

    def pool(self, averages):
        image = self.images()
        attributes = self.geometry("VALID") | {"window": [self.choice(1, 2, 2, 3, 3, 5, 14), self.choice(1, 2, 3, 3, 4)]}
        if self.chance(0.3):
            attributes["dilation"] = [self.between(1, 4), self.between(1, 4)]
        if isinstance(attributes.get("padding"), list) and self.chance(0.5):
            # As PyTorch has it, or cropping.
            low = 0 if self.chance(0.5) else -3
            attributes["padding"] = [[p, p] for p in (self.between(low, 3), self.between(low, 3))]
        if self.chance(0.4):
            attributes["ceil_mode"] = True
        if averages and self.chance(0.4):
            attributes["count_include_pad"] = False
        output = [op_references.pool_axis(attributes, axis, image[axis + 1])[1] for axis in range(2)]
        if min(output) <= 0:
            return None
        x = self.normal(*image)
        if self.chance(0.5):  # windows with several equal maxima
            x = self.rng.integers(-2, 3, image).astype(np.float32)
        return x, [image[0], *output, image[3]], attributes

    def pool_forward(self, averages):
        drawn = self.pool(averages)
        return drawn and ({"input": drawn[0]}, drawn[2])

    def pool_backward(self, averages):
        drawn = self.pool(averages)
        return drawn and ({"input": drawn[0], "grad_output": self.normal(*drawn[1])}, drawn[2])

    def max_pool_forward(self):
        return self.pool_forward(averages=False)

    def max_pool_backward(self):
        return self.pool_backward(averages=False)

    def average_pool_forward(self):
        return self.pool_forward(averages=True)

    def average_pool_backward(self):
        return self.pool_backward(averages=True)

    def matmul_forward(self):
        m, k, n = self.between(1, 100), self.channels(), self.channels()
        return {"a": self.normal(m, k), "b": self.normal(k, n)}, {}

    def softmax_cross_entropy(self):
        n, k = self.between(1, 60), self.channels()
        inputs = {"logits": self.normal(n, k), "labels": self.rng.integers(0, k, n).astype(np.int32)}
        attributes = {}
        if self.chance(0.4):
            inputs["class_weights"] = self.rng.uniform(0.1, 2, k).astype(np.float32)
        if self.chance(0.4):
            attributes["label_smoothing"] = self.choice(0.1, 0.5)
        if n > 1 and self.chance(0.4):
            attributes["ignore_index"] = -100
            inputs["labels"][: self.between(1, n - 1)] = -100
        return inputs, attributes

    def case(self, op):
        while (drawn := getattr(self, op)()) is None:
            pass
        return drawn


class Driver:
    def __init__(self, program, folder):
        self.program, self.folder = str(program), folder
        listing = subprocess.run([self.program, "--list"], capture_output=True, text=True, check=True).stdout
        self.targets, self.algorithms = [], {}
        for line in listing.splitlines():
            if line.startswith("targets:"):
                self.targets = line.split()[1:]
            elif not line.startswith(" "):
                op = line
                self.algorithms[op] = [""]
            elif line.startswith("  algorithms:"):
                self.algorithms[op] += line.split()[1:]

    def prepare(self, inputs):
        save_file({name: np.ascontiguousarray(x) for name, x in inputs.items()}, self.folder / "inputs.safetensors")

    def command(self, op, attributes, target, algorithm, folder):
        words = [self.program, "--op", op, "--inputs", str(folder / "inputs.safetensors"), "--attributes",
                 json.dumps(attributes), "--output", str(folder / "outputs.safetensors")]
        return words + ["--target", target] * bool(target) + ["--algorithm", algorithm] * bool(algorithm)

    def run(self, op, attributes, target, algorithm):
        """Outputs, metadata and an error text, one of which is None."""
        path = self.folder / "outputs.safetensors"
        path.unlink(missing_ok=True)
        words = self.command(op, attributes, target, algorithm, self.folder)
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            return None, {}, f"exit code {done.returncode}: {done.stderr.strip()}"
        with safe_open(path, "np") as file:
            return load_file(path), file.metadata(), None


def worst_ratio(actual, value, bound):
    """The largest |actual − value| / bound, and where. Above 1: too far off."""
    with np.errstate(invalid="ignore"):  # infinities
        error = np.where(actual == value, 0, np.abs(actual.astype(np.float64) - value))
        ratio = error / (bound + UNDERFLOW)
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    at = np.unravel_index(np.argmax(ratio), ratio.shape)
    return float(ratio[at]), tuple(int(i) for i in at)


def differences(outputs, expected, algorithm, others):
    """The largest ratio of all outputs, and a text for each output that is off."""
    texts, largest = [], 0.0
    if outputs.keys() != expected.keys():
        texts.append(f"outputs {sorted(outputs)} instead of {sorted(expected)}")
    for name in outputs.keys() & expected.keys():
        references = {"JAX": expected[name].value}
        if name in others:
            references["PyTorch"] = others[name]
        for source, value in references.items():
            if outputs[name].shape != value.shape:
                texts.append(f"{name} {outputs[name].shape}, {source} has {value.shape}")
                continue
            ratio, at = worst_ratio(outputs[name], value, expected[name].bound_for(algorithm))
            largest = max(largest, ratio)
            if ratio > 1:
                texts.append(f"{name}{list(at)} = {outputs[name][at]!r}, {source} has {value[at]!r}: "
                             f"{ratio:.3g} times the bound")
    return largest, texts


def keep(driver, folder, op, attributes, target, algorithm, texts):
    folder.mkdir(parents=True, exist_ok=True)
    for file in driver.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    case = {"op": op, "attributes": attributes, "target": target, "algorithm": algorithm, "errors": texts,
            "command": driver.command(op, attributes, target, algorithm, folder)}
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")


class Comparison:
    def __init__(self, driver, failures, pytorch):
        self.driver, self.failures, self.pytorch = driver, failures, pytorch
        self.rows = collections.defaultdict(lambda: {"runs": 0, "declined": 0, "worst": 0.0, "failed": 0})

    def run(self, name, op, inputs, attributes, targets, algorithms):
        self.driver.prepare(inputs)
        expected = op_references.expected(op, inputs, attributes)
        others = self.pytorch.values(op, inputs, attributes) if self.pytorch else {}
        for algorithm in algorithms:
            row = self.rows[op, algorithm]
            for target in targets:
                outputs, metadata, error = self.driver.run(op, attributes, target, algorithm)
                row["runs"] += 1
                if error and algorithm and " declines: " in error:
                    row["declined"] += 1
                    continue
                if error:
                    texts = [error]
                elif metadata["target"] != target:
                    texts = [f"ran on {metadata['target']}"]
                else:
                    wanted = expected | op_references.expected_of(op, attributes, outputs)
                    ratio, texts = differences(outputs, wanted, metadata.get("algorithm", ""), others)
                    row["worst"] = max(row["worst"], ratio)
                if texts:
                    row["failed"] += 1
                    folder = self.failures / "-".join(filter(None, (name, op, target, algorithm)))
                    keep(self.driver, folder, op, attributes, target, algorithm, texts)
                    print(f"FAILED {folder}: " + "; ".join(texts), flush=True)

    def report(self):
        print(f"{'op':24}{'algorithm':18}{'runs':>7}{'declined':>10}{'failed':>8}  worst error / bound")
        for (op, algorithm), row in sorted(self.rows.items()):
            label = algorithm or ("(chosen)" if len(self.driver.algorithms[op]) > 1 else "")
            print(f"{op:24}{label:18}{row['runs']:7}{row['declined']:10}{row['failed']:8}  {row['worst']:.3f}")
        return sum(row["failed"] for row in self.rows.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", type=pathlib.Path, default=ROOT / "build/release/bin/op_driver")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ops", nargs="+", help="default: all")
    parser.add_argument("--targets", nargs="+", help="default: all of this machine")
    parser.add_argument("--with-pytorch", action="store_true", help="compare with PyTorch too")
    parser.add_argument("--failures", type=pathlib.Path, default=pathlib.Path("op_failures"))
    parser.add_argument("--replay", type=pathlib.Path, metavar="FOLDER", help="run a kept case again, and nothing else")
    options = parser.parse_args()
    pytorch = None
    if options.with_pytorch:
        import pytorch_references as pytorch

    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(options.driver, pathlib.Path(folder))
        comparison = Comparison(driver, options.failures, pytorch)
        if options.replay:
            case = json.loads((options.replay / "case.json").read_text())
            comparison.run("replay", case["op"], load_file(options.replay / "inputs.safetensors"), case["attributes"],
                           [case["target"]], [case["algorithm"]])
        else:
            ops = options.ops or list(driver.algorithms)
            for i in range(options.cases):
                op = ops[i % len(ops)]
                inputs, attributes = Draw([options.seed, i]).case(op)
                comparison.run(f"{options.seed}-{i}", op, inputs, attributes, options.targets or driver.targets,
                               driver.algorithms[op])
        sys.exit(1 if comparison.report() else 0)


main()
