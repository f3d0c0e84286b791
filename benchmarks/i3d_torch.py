"""A plain PyTorch I3D of the same layers, channels last, for `benchmarks/i3d.py` to race against; needs torch alone.

Reads lines from its input: "clips frames" to make a batch of that size, an empty line to run the network once and print the
seconds that it took. Weights are random: the arithmetic is the same.
"""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}


def same(x, kernel, stride, value=0.0):
    """TensorFlow's SAME padding, which is not symmetric."""
    padding = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding, value=value) if any(padding) else x


class Unit(nn.Module):
    """Convolution and ReLU; batch norm is folded into the weights, as it is in ours."""

    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride)

    def forward(self, x):
        return F.relu(self.conv(same(x, self.kernel, self.stride)))


def pool(x, kernel, stride):
    return F.max_pool3d(same(x, kernel, stride, -torch.inf), kernel, stride)


class Mixed(nn.Module):
    def __init__(self, inputs, c0, c1a, c1b, c2a, c2b, c3):
        super().__init__()
        self.b0 = Unit(inputs, c0, 1)
        self.b1 = nn.Sequential(Unit(inputs, c1a, 1), Unit(c1a, c1b, 3))
        self.b2 = nn.Sequential(Unit(inputs, c2a, 1), Unit(c2a, c2b, 3))
        self.b3 = Unit(inputs, c3, 1)

    def forward(self, x):
        return torch.cat([self.b0(x), self.b1(x), self.b2(x), self.b3(pool(x, (3, 3, 3), (1, 1, 1)))], 1)


class I3D(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Unit(3, 64, 7, 2)
        self.conv_2b, self.conv_2c = Unit(64, 64, 1), Unit(64, 192, 3)
        self.mixed = nn.ModuleDict({name: Mixed(*sizes) for name, sizes in BLOCKS.items()})
        self.logits = nn.Linear(1024, 400)

    def forward(self, x):
        x = pool(self.stem(x), (1, 3, 3), (1, 2, 2))
        x = pool(self.conv_2c(self.conv_2b(x)), (1, 3, 3), (1, 2, 2))
        for name, block in self.mixed.items():
            if name == "4b":
                x = pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "5b":
                x = pool(x, (2, 2, 2), (2, 2, 2))
            x = block(x)
        return self.logits(F.avg_pool3d(x, (2, 7, 7), 1).mean((2, 3, 4)))


def main():
    network = I3D().eval().to(memory_format=torch.channels_last_3d)
    videos = None
    for line in sys.stdin:
        if line.strip():
            clips, frames = map(int, line.split())
            videos = torch.rand(clips, 3, frames, 224, 224).to(memory_format=torch.channels_last_3d)
            continue
        start = time.perf_counter()
        with torch.inference_mode():
            network(videos)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
