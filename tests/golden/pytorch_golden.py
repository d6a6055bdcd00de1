"""Writes tests/golden/pytorch_logits.safetensors: the logits of small models whose weights are formulas.

Made with torch 2.13.0 on x86-64:
    pip install torch==2.13.0 torchvision==0.28.0 safetensors numpy && python tests/golden/pytorch_golden.py

tests/models/pytorch_import_test.cc has the same formulas, so that no weights need to be stored.
"""

import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(GOLDEN.parent.parent / "tools"))
from pytorch_resnet import ResNet
from torch_models import torchvision


def uniform(tensor_index, count):
    """`count` numbers in [0, 1), multiples of 2**-24."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(tensor_index * 40503 + 12345)
    h ^= h >> np.uint32(16)
    h *= np.uint32(2246822519)
    h ^= h >> np.uint32(13)
    return (h >> np.uint32(8)).astype(np.float64) / 2**24


MODELS = {
    "resnet18": ResNet(18, num_classes=7, filters=8),
    "resnet50": ResNet(50, num_classes=7, filters=8),
    "resnet18_small_stem": ResNet(18, num_classes=7, filters=8, small_stem=True),
    "resnext50_32x4d": ResNet(50, num_classes=7, filters=16, groups=32, width_per_group=4),
    "wide_resnet50_2": ResNet(50, num_classes=7, filters=8, width_per_group=128),
    "resnet50d": ResNet(50, num_classes=7, filters=8, d=True),
    "resnet18d": ResNet(18, num_classes=7, filters=8, d=True),
    "mobilenet_v2": torchvision().models.mobilenet_v2(num_classes=7, width_mult=0.25),
}

out = {}
for model_name, model in MODELS.items():
    model.eval()
    state = model.state_dict()
    names = sorted(name for name, value in state.items() if value.is_floating_point())
    with torch.no_grad():
        for index, name in enumerate(names):
            value = state[name]
            u = uniform(index, value.numel())
            if value.ndim > 1:
                u = (u - 0.5) * np.sqrt(24.0 / value[0].numel())
            elif name.endswith(("running_var", "weight")):
                u = 0.5 + u
            else:
                u = (u - 0.5) * 0.5
            value.copy_(torch.from_numpy(u.astype(np.float32)).reshape(value.shape))
        x = ((uniform(1000, 2 * 33 * 38 * 3) - 0.5) * 4).astype(np.float32).reshape(2, 33, 38, 3)
        logits = model.double()(torch.from_numpy(x).permute(0, 3, 1, 2).double())
    out[model_name] = logits.float()
    print(model_name, logits)
save_file(out, GOLDEN / "pytorch_logits.safetensors")
