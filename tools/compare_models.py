#!/usr/bin/env python3
"""Compares the logits of torchvision's and timm's models with hwynn's after `hwynn convert`.

    pip install torch==2.13.0 torchvision==0.28.0 timm==1.0.31 safetensors numpy
    python tools/compare_models.py --hwynn build/release/bin/hwynn --models all

The weights and running statistics are random, the reference is the framework itself in float64. Each model's file is of
another kind: its dtype, its number of classes, what a wrapper put before its names. Some random networks make much of
roundings: of those hwynn may be as far off as twice what PyTorch in float32 is.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

from torch_models import MODELS, randomise

TOLERANCE = {"highest": 1e-5, "default": 1e-4}  # of the largest logit
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
PREFIXES = ["", "module.", "model.", "_orig_mod."]
FEW = "resnet18,resnet50,wide_resnet50_2,resnext50_32x4d,resnet18d,resnet50d,mobilenet_v2,mobilenetv2_050,resnet18_small_stem"


def compare(name, rng, args, folder):
    """The largest error by precision, that of PyTorch in float32, and what the file was."""
    weights, imported, inputs, outputs = (str(folder / f"{part}.safetensors") for part in "whxy")
    classes = rng.choice([1000, 10, 7])
    dtype, prefix = rng.choice(DTYPES), rng.choice(PREFIXES)
    model = randomise(MODELS[name](classes), rng.randrange(1 << 30))
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in model.state_dict().items()}
    save_file({prefix + key: value for key, value in state.items()}, weights)
    model.double().load_state_dict(state)  # the weights that the file has, rounded as they are
    subprocess.run([args.hwynn, "convert", weights, imported], check=True, stdout=subprocess.DEVNULL)
    errors = {}
    height, width = rng.randrange(33, 160), rng.randrange(33, 160)
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(rng.randrange(1 << 30)))
    save_file({"x": x.permute(0, 2, 3, 1).contiguous()}, inputs)
    with torch.no_grad():
        expected = model(x.double())
        single = model.float()(x)
    error_of = lambda logits: ((logits.double() - expected).abs().max() / expected.abs().max()).item()
    for precision in TOLERANCE:
        subprocess.run([args.hwynn, "predict", "--checkpoint", imported, "--arrays", inputs, "--output", outputs,
                        "--precision", precision], check=True)
        errors[precision] = error_of(load_file(outputs)["logits"])
    what = f"{height}x{width}, {classes} classes, {str(dtype).removeprefix('torch.')}, {prefix or 'no prefix'}"
    return errors, error_of(single), what


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hwynn", default="build/release/bin/hwynn")
    parser.add_argument("--models", default=FEW, help="names, or all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    names = list(MODELS) if args.models == "all" else args.models.split(",")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rng = random.Random(f"{args.seed} {name}")
            errors, single, what = compare(name, rng, args, pathlib.Path(folder))
            print(f"{name} ({what}): " + ", ".join(f"{precision} {error:.2e}" for precision, error in errors.items()) +
                  f", PyTorch in float32 {single:.2e} of the largest logit", flush=True)
            if not all(errors[precision] <= max(TOLERANCE[precision], 2 * single) for precision in TOLERANCE):  # nor NaN
                failed.append(name)
    if failed:
        sys.exit("differ by more than " + ", ".join(f"{t:g} ({p})" for p, t in TOLERANCE.items()) + ": " + ", ".join(failed))


if __name__ == "__main__":
    main()
