"""A plain PyTorch DVD-GAN of the same layers and widths, channels last, for `training.py` and `sampling.py` to race against.

Needs torch alone. Reads lines from its input: JSON with the model's sizes to build it, then "step" or "sample", which it
does once and prints the seconds that it took, or "threads N". Data are random: the arithmetic is the same. Written as the
paper's equations have it; `parametrize.cached` keeps a kernel's spectral norm over the frames of a clip.
"""

import itertools
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm


def conv2d(c_in, c_out, size=3):
    return spectral_norm(nn.Conv2d(c_in, c_out, size, padding=size // 2))


def conv3d(c_in, c_out, size=3):
    return spectral_norm(nn.Conv3d(c_in, c_out, size, padding=size // 2))


def linear(c_in, c_out, bias=True):
    return spectral_norm(nn.Linear(c_in, c_out, bias))


def fold(x):
    """[B, T, C, H, W] -> [B*T, C, H, W], channels last."""
    return x.flatten(0, 1).contiguous(memory_format=torch.channels_last)


class ConvGRU(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.reset, self.update, self.candidate = (conv2d(2 * c, c) for _ in range(3))

    def forward(self, x, frames):
        """x [B, T or 1, C, H, W] -> [B, T, C, H, W]; one frame stands for all."""
        h, states = torch.zeros_like(x[:, 0]), []
        for t in range(frames):
            now = x[:, t if x.shape[1] > 1 else 0]
            both = torch.cat([h, now], 1)
            r, u = torch.sigmoid(self.reset(both)), torch.sigmoid(self.update(both))
            h = u * h + (1 - u) * F.relu(self.candidate(torch.cat([now, r * h], 1)))
            states.append(h)
        return torch.stack(states, 1)


class Norm(nn.Module):
    """Batch norm of each time step apart, with the batch's statistics in training and running ones in sampling."""

    def __init__(self, c, frames):
        super().__init__()
        self.register_buffer("mean", torch.zeros(frames, c, 1, 1))
        self.register_buffer("variance", torch.ones(frames, c, 1, 1))

    def forward(self, x):
        """[B*T, C, H, W] -> the same."""
        x = x.unflatten(0, (-1, len(self.mean)))
        if self.training:
            variance, mean = torch.var_mean(x, (0, 3, 4), correction=0, keepdim=True)
        else:
            variance, mean = self.variance, self.mean
        return ((x - mean) * torch.rsqrt(variance + 1e-5)).flatten(0, 1)


class ConditionalNorm(nn.Module):
    def __init__(self, c, frames, condition):
        super().__init__()
        self.frames, self.norm = frames, Norm(c, frames)
        self.gain, self.bias = linear(condition, c, bias=False), linear(condition, c, bias=False)

    def forward(self, x, condition):
        gain, bias = (f(condition).repeat_interleave(self.frames, 0)[..., None, None] for f in (self.gain, self.bias))
        return self.norm(x) * (1 + gain) + bias


class GBlock(nn.Module):
    def __init__(self, c_in, c_out, up, frames, condition):
        super().__init__()
        self.up = up
        self.norm_1, self.norm_2 = ConditionalNorm(c_in, frames, condition), ConditionalNorm(c_out, frames, condition)
        self.conv_1, self.conv_2 = conv2d(c_in, c_out), conv2d(c_out, c_out)
        self.shortcut = conv2d(c_in, c_out, 1) if up or c_in != c_out else nn.Identity()

    def forward(self, x, condition):
        up = (lambda x: F.interpolate(x, scale_factor=2)) if self.up else lambda x: x
        h = self.conv_1(up(F.relu(self.norm_1(x, condition))))
        h = self.conv_2(F.relu(self.norm_2(h, condition)))
        return h + up(self.shortcut(x))  # the shortcut before upsampling, as in ours: a quarter of the work


class Generator(nn.Module):
    def __init__(self, s):
        super().__init__()
        widths = [s["ch"] * w for w in s["g_widths"]]
        frames, condition = s["num_frames"], s["latent_dim"] + s["embedding_dim"]
        self.frames = frames
        self.embedding = nn.Embedding(s["num_classes"], s["embedding_dim"])
        self.affine = linear(condition, 16 * widths[0])
        self.grus = nn.ModuleList(ConvGRU(c) for c in widths[:-1])
        self.blocks = nn.ModuleList(
            nn.ModuleList([GBlock(a, b, False, frames, condition), GBlock(b, b, True, frames, condition)])
            for a, b in itertools.pairwise(widths)
        )
        self.final_norm = Norm(widths[-1], frames)
        self.gain, self.bias = nn.Parameter(torch.ones(widths[-1], 1, 1)), nn.Parameter(torch.zeros(widths[-1], 1, 1))
        self.to_pixels = conv2d(widths[-1], 3)

    def forward(self, latents, labels):
        """-> [B, T, 3, H, W] in [-1, 1]."""
        condition = torch.cat([latents, self.embedding(labels)], 1)
        x = self.affine(condition).unflatten(1, (1, -1, 4, 4))
        for gru, blocks in zip(self.grus, self.blocks, strict=True):
            h = fold(gru(x, self.frames))
            for block in blocks:
                h = block(h, condition)
            x = h.unflatten(0, (-1, self.frames))
        pixels = torch.tanh(self.to_pixels(F.relu(self.final_norm(h) * self.gain + self.bias)))
        return pixels.unflatten(0, (-1, self.frames))


class DBlock(nn.Module):
    """2-D on frames [N, C, H, W], or 3-D on clips [B, C, T, H, W]."""

    def __init__(self, c_in, c_out, down, first, conv=conv2d):
        super().__init__()
        self.first, self.down, self.clips = first, down, conv is conv3d
        self.conv_1, self.conv_2 = conv(c_in, c_out), conv(c_out, c_out)
        self.shortcut = conv(c_in, c_out, 1) if down or c_in != c_out else nn.Identity()

    def pool(self, x):
        if not self.down:
            return x
        # An odd last frame stands for itself.
        return F.avg_pool3d(x, 2, ceil_mode=True) if self.clips else F.avg_pool2d(x, 2)

    def forward(self, x):
        h = self.conv_1(x if self.first else F.relu(x))
        h = self.conv_2(F.relu(h))
        return self.pool(h) + self.shortcut(self.pool(x))


class Score(nn.Module):
    """Projection conditioning: w.h + b + e(y).h."""

    def __init__(self, classes, c):
        super().__init__()
        self.projection, self.score = spectral_norm(nn.Embedding(classes, c)), linear(c, 1)

    def forward(self, x, labels):
        """x [B, T, C, H, W] -> [B, T]."""
        h = F.relu(x).sum((3, 4))
        return self.score(h)[..., 0] + (h * self.projection(labels)[:, None]).sum(2)


class Discriminator(nn.Module):
    """D_S, or with `temporal` D_T: its first two blocks are 3-D."""

    def __init__(self, s, temporal):
        super().__init__()
        self.temporal, widths = temporal, [3, *(s["ch"] * w for w in s["d_widths"])]
        last = len(widths) - 2
        self.blocks = nn.ModuleList(
            DBlock(a, b, i < last, i == 0, conv3d if temporal and i < 2 else conv2d)
            for i, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.head = Score(s["num_classes"], widths[-1])

    def forward(self, x, labels):
        """x [B, T, 3, H, W] -> [B]."""
        b, blocks = len(x), list(self.blocks)
        if self.temporal:
            x = x.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)
            x = blocks[1](blocks[0](x)).transpose(1, 2)
            blocks = blocks[2:]
        x = fold(x)
        for block in blocks:
            x = block(x)
        scores = self.head(x.unflatten(0, (b, -1)), labels)
        return scores.mean(1) if self.temporal else scores.sum(1)


class Gan:
    def __init__(self, s):
        self.s = s
        self.g, self.d_s, self.d_t = Generator(s), Discriminator(s, False), Discriminator(s, True)
        for module in (self.g, self.d_s):
            module.to(memory_format=torch.channels_last)
        for module in self.d_t.blocks:
            module.to(memory_format=torch.channels_last_3d if module.clips else torch.channels_last)
        self.d = nn.ModuleList([self.d_s, self.d_t])
        adam = {"betas": (0.0, 0.999), "eps": 1e-8, "fused": True}
        self.g_optimizer = torch.optim.Adam(self.g.parameters(), s["g_learning_rate"], **adam)
        self.d_optimizer = torch.optim.Adam(self.d.parameters(), s["d_learning_rate"], **adam)
        self.ema = [p.detach().clone() for p in self.g.parameters()]
        shape = (s["batch_size"], s["num_frames"], 3, s["resolution"], s["resolution"])
        self.video = torch.randint(0, 256, shape, dtype=torch.uint8)
        self.labels = torch.randint(0, s["num_classes"], shape[:1])

    def scores(self, video, labels):
        """Scores [B] of D_S on k frames of each clip, and of D_T on the clip at half its size."""
        frames = torch.stack([torch.randperm(video.shape[1])[: self.s["k"]] for _ in video])
        small = F.avg_pool2d(video.flatten(0, 1), 2).unflatten(0, video.shape[:2])
        return self.d_s(video[torch.arange(len(video))[:, None], frames], labels), self.d_t(small, labels)

    def draw(self, n):
        return torch.randn(n, self.s["latent_dim"]), torch.randint(0, self.s["num_classes"], (n,))

    def step(self):
        """Two updates of D, one of G and of its average."""
        b = self.s["batch_size"]
        self.d.requires_grad_(True)
        for _ in range(self.s["d_updates"]):
            real, (latents, labels) = self.video / 127.5 - 1, self.draw(b)
            with torch.no_grad(), parametrize.cached():
                fake = self.g(latents, labels)
            both = self.scores(torch.cat([real, fake]), torch.cat([self.labels, labels]))
            loss = sum(F.relu(1 - score[:b]).mean() + F.relu(1 + score[b:]).mean() for score in both)
            self.d_optimizer.zero_grad()
            loss.backward()
            self.d_optimizer.step()
        self.d.requires_grad_(False)
        latents, labels = self.draw(b)
        with parametrize.cached():
            fake = self.g(latents, labels)
        loss = -sum(score.mean() for score in self.scores(fake, labels))
        self.g_optimizer.zero_grad()
        loss.backward()
        self.g_optimizer.step()
        torch._foreach_lerp_(self.ema, [p.detach() for p in self.g.parameters()], 1 - self.s["ema_decay"])

    def sample(self):
        """A batch of clips with running statistics, as bytes [B, T, H, W, 3]."""
        self.g.eval()
        with torch.inference_mode(), parametrize.cached():
            video = self.g(*self.draw(self.s["sampling_batch"]))
            ((video + 1) * 127.5).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
        self.g.train()


def main():
    gan = None
    for line in sys.stdin:
        command = line.split()[0]
        if command == "threads":
            torch.set_num_threads(int(line.split()[1]))
        elif command in ("step", "sample"):
            start = time.perf_counter()
            getattr(gan, command)()
            print(time.perf_counter() - start, flush=True)
        else:
            gan = Gan(json.loads(line))
            parameters = [sum(p.numel() for p in module.parameters()) for module in (gan.g, gan.d)]
            print(json.dumps(parameters), flush=True)


if __name__ == "__main__":
    main()
