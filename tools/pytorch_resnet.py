#!/usr/bin/env python3
"""Compares the logits of PyTorch ResNets with hwynn's after `hwynn convert`.

    pip install torch==2.13.0 safetensors numpy
    python tools/pytorch_resnet.py --hwynn build/release/bin/hwynn

The models have torchvision's structure and names and random weights; running statistics are random too.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torch import nn

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3),
          20: (3, 3, 3)}  # 20: of the CIFAR family


class Block(nn.Module):
    """torchvision's BasicBlock, or Bottleneck with the stride on its 3x3 convolution; timm's with an average projection."""

    def __init__(self, inputs, filters, stride, bottleneck, groups=1, width_per_group=64, average=False):
        super().__init__()
        width = filters * width_per_group // 64 * groups
        sizes = [(inputs, width, 1), (width, width, 3), (width, 4 * filters, 1)] if bottleneck else [
            (inputs, filters, 3), (filters, filters, 3)]
        strided = 1 if bottleneck else 0
        for i, (fan_in, outputs, size) in enumerate(sizes):
            conv = nn.Conv2d(fan_in, outputs, size, stride if i == strided else 1, size // 2,
                             groups=groups if bottleneck and size == 3 else 1, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(outputs))
        self.convs = len(sizes)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride != 1 else nn.Identity()
            conv = nn.Conv2d(inputs, outputs, 1, 1 if average else stride, bias=False)
            self.downsample = nn.Sequential(*([pool] if average else []), conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.convs + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.convs:
                y.relu_()
        y += x if self.downsample is None else self.downsample(x)
        return y.relu_()


class ResNet(nn.Module):
    """torchvision.models.resnet<depth>, with other numbers of filters, channels and classes if asked for, and the
    CIFAR family: three stages, 16 filters, a stem of one 3x3 convolution, which small_stem gives to the others. `d`:
    timm's resnet<depth>d."""

    def __init__(self, depth, num_classes=1000, filters=None, channels=3, small_stem=False, groups=1,
                 width_per_group=64, d=False):
        super().__init__()
        bottleneck = depth >= 50
        cifar = len(STAGES[depth]) == 3
        filters = filters or (16 if cifar else 64)
        small_stem = small_stem or cifar
        if d:
            half = filters // 2
            conv = lambda inputs, outputs, stride: nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            norm = lambda: (nn.BatchNorm2d(half), nn.ReLU())
            self.conv1 = nn.Sequential(conv(channels, half, 2), *norm(), conv(half, half, 1), *norm(), conv(half, filters, 1))
        else:
            self.conv1 = nn.Conv2d(channels, filters, *((3, 1, 1) if small_stem else (7, 2, 3)), bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.maxpool = nn.Identity() if small_stem else nn.MaxPool2d(3, 2, 1)
        inputs = filters
        for stage, count in enumerate(STAGES[depth]):
            blocks = []
            for i in range(count):
                blocks.append(Block(inputs, filters << stage, 2 if stage and not i else 1, bottleneck, groups, width_per_group,
                                    average=d))
                inputs = (filters << stage) * (4 if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(STAGES[depth])
        self.fc = nn.Linear(inputs, num_classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu_())
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.ndim > 1:
            fan_in = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5)
        elif name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn3.weight", "downsample.1.weight")):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hwynn", default="build/release/bin/hwynn")
    parser.add_argument("--depths", default="18,50")
    parser.add_argument("--sizes", default="65x65,64x97,224x224")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the largest logit")
    args = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        weights, imported, inputs, outputs = (
            str(pathlib.Path(folder) / name) for name in ("w.safetensors", "h.safetensors", "x.safetensors", "y.safetensors"))
        for depth in map(int, args.depths.split(",")):
            model = ResNet(depth).eval()
            randomise(model, args.seed + depth)
            save_file(model.state_dict(), weights)
            subprocess.run([args.hwynn, "convert", weights, imported], check=True)
            for size in args.sizes.split(","):
                height, width = map(int, size.split("x"))
                x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(args.seed))
                save_file({"x": x.permute(0, 2, 3, 1).contiguous()}, inputs)
                subprocess.run([args.hwynn, "predict", "--checkpoint", imported, "--arrays", inputs, "--output", outputs],
                               check=True)
                expected = model.double()(x.double())
                error = (load_file(outputs)["logits"] - expected).abs().max() / expected.abs().max()
                single = (model.float()(x) - expected).abs().max() / expected.abs().max()
                worst = max(worst, error.item())
                print(f"resnet{depth} {size}: hwynn {error:.2e}, PyTorch in float32 {single:.2e} of the largest logit")
    if not worst <= args.tolerance:
        sys.exit(f"differs by {worst:.2e} of the largest logit")


if __name__ == "__main__":
    main()
