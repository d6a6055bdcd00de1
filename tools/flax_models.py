"""The ResNet of Flax's ImageNet example and its TrainState, for the scripts that compare with Flax."""

from functools import partial
from typing import Any

import flax.linen as nn
from flax.training import train_state

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 20: (3, 3, 3)}  # 20: of the CIFAR family


class ResNetBlock(nn.Module):
    filters: int
    stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x):
        y = nn.relu(self.norm()(self.conv(self.filters, (3, 3), (self.stride, self.stride))(x)))
        y = self.norm(scale_init=nn.initializers.zeros_init())(self.conv(self.filters, (3, 3))(y))
        if x.shape != y.shape:
            x = self.conv(self.filters, (1, 1), (self.stride, self.stride), name="conv_proj")(x)
            x = self.norm(name="norm_proj")(x)
        return nn.relu(x + y)


class BottleneckResNetBlock(nn.Module):
    filters: int
    stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x):
        y = nn.relu(self.norm()(self.conv(self.filters, (1, 1))(x)))
        y = nn.relu(self.norm()(self.conv(self.filters, (3, 3), (self.stride, self.stride))(y)))
        y = self.norm(scale_init=nn.initializers.zeros_init())(self.conv(4 * self.filters, (1, 1))(y))
        if x.shape != y.shape:
            x = self.conv(4 * self.filters, (1, 1), (self.stride, self.stride), name="conv_proj")(x)
            x = self.norm(name="norm_proj")(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """The ResNet of Flax's ImageNet example with 64 filters, and the CIFAR family: three stages, 16 filters, a stem of
    one 3x3 convolution."""

    depth: int
    num_classes: int
    filters: int = 0

    @nn.compact
    def __call__(self, x, train=False):
        conv = partial(nn.Conv, use_bias=False)
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=1e-5)
        cifar = len(STAGES[self.depth]) == 3
        filters = self.filters or (16 if cifar else 64)
        size, stride = (3, 1) if cifar else (7, 2)
        x = conv(filters, (size, size), (stride, stride), padding=size // 2, name="conv_init")(x)
        x = nn.relu(norm(name="bn_init")(x))
        if not cifar:
            x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        block = BottleneckResNetBlock if self.depth >= 50 else ResNetBlock
        for stage, count in enumerate(STAGES[self.depth]):
            for i in range(count):
                x = block(filters << stage, 2 if stage and not i else 1, conv, norm)(x)
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


class TrainState(train_state.TrainState):
    batch_stats: Any
