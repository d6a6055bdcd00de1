"""torchvision's and timm's models with random weights, for comparisons with hwynn's."""

import math
import sys

import torch


def torchvision():
    """The module. Its compiled operators, which no classifier needs, may be of another build of PyTorch."""
    try:
        import torchvision as module
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        torchvision.library = torch.library.Library("torchvision", "FRAGMENT")  # for as long as the process lives
        for name in ("nms", "qnms"):
            torchvision.library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision as module
    return module


def timm():
    torchvision()
    import timm as module
    return module


def randomise(model, seed):
    """Weights that keep values about as large from layer to layer, and statistics that are theirs but random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                weight = module.weight
                weight.copy_(torch.randn(weight.shape, generator=generator) * math.sqrt(2 / weight[0].numel()))
                if module.bias is not None:
                    module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.2)
            elif isinstance(module, torch.nn.BatchNorm2d):
                for value in (module.weight, module.running_var):
                    value.copy_(0.5 + torch.rand(value.shape, generator=generator))
                for value in (module.bias, module.running_mean):
                    value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    return model.eval()


def small_stem(model):
    """A ResNet of torchvision as many fine-tune it for CIFAR: a stem of one 3x3 convolution and no max pool."""
    channels = model.conv1.out_channels
    model.conv1 = torch.nn.Conv2d(3, channels, 3, 1, 1, bias=False)
    model.maxpool = torch.nn.Identity()
    return model


# Each makes a model with so many classes.
MODELS = {
    **{name: (lambda classes, name=name: getattr(torchvision().models, name)(num_classes=classes))
       for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2",
                    "resnext50_32x4d", "resnext101_32x8d", "mobilenet_v2")},
    **{name: (lambda classes, name=name: timm().create_model(name, num_classes=classes))
       for name in ("resnet26", "resnet18d", "resnet26d", "resnet34d", "resnet50d", "resnet101d", "resnet152d",
                    "mobilenetv2_050", "mobilenetv2_100", "mobilenetv2_140")},
    "timm_resnet50": lambda classes: timm().create_model("resnet50", num_classes=classes),
    "timm_resnext50_32x4d": lambda classes: timm().create_model("resnext50_32x4d", num_classes=classes),
    "resnet18_small_stem": lambda classes: small_stem(torchvision().models.resnet18(num_classes=classes)),
}
