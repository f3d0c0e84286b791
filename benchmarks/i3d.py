"""Speed of I3D beside the fastest thing the machine does, in one run: a float32 matrix product of 2048 x 2048.

    python benchmarks/i3d.py
    TORCH_PYTHON=/path/to/python python benchmarks/i3d.py     also beside PyTorch, from an environment that has it

Rounds alternate between them, so that other load on the machine falls on all alike; the best round of each is reported.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Runs from a checkout that is not installed, too.

from dvdgan_lib.metrics import i3d

CLIPS, FRAMES, ROUNDS = 5, 12, 6
SIZE, PRODUCTS = 2048, 12
# Multiplications and additions of one 12-frame 224x224 clip, as XLA counts the native network (taps in the padding left
# out): 2.93 a frame, 3.27 for long clips.
GFLOP_PER_CLIP = 35.2


def seconds(function, *arguments):
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


class Torch:
    """The same layers in PyTorch (`benchmarks/i3d_torch.py`), in a process of its own that waits between rounds."""

    def __init__(self, python):
        script = str(Path(__file__).with_name("i3d_torch.py"))
        self.process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(f"{CLIPS} {FRAMES}\n")

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main():
    rng = np.random.default_rng(0)
    params = jax.device_put(i3d.load_params())
    videos = jnp.asarray(rng.integers(0, 256, (CLIPS, FRAMES, 224, 224, 3), np.uint8))
    matrix = jnp.asarray(rng.normal(size=(SIZE, SIZE)), jnp.float32)

    @jax.jit
    def product(matrix):
        return jnp.matmul(matrix, matrix, precision="highest")

    def network(videos):
        return i3d.i3d(params, i3d.preprocess(videos))

    print(f"first call, with compilation: {seconds(network, videos):.1f} s")
    seconds(product, matrix)
    peer = Torch(os.environ["TORCH_PYTHON"]) if os.environ.get("TORCH_PYTHON") else None
    products, networks, peers = [], [], []
    for _ in range(ROUNDS):
        products.append(np.mean([seconds(product, matrix) for _ in range(PRODUCTS)]))
        networks.append(seconds(network, videos))
        if peer:
            peers.append(peer.seconds())
    peak = 2 * SIZE**3 / min(products) / 1e9
    clips = CLIPS / min(networks)
    rate = clips * GFLOP_PER_CLIP
    print(f"matrix product {SIZE}^3: {peak:.0f} GFLOP/s")
    print(f"I3D, {FRAMES} frames of 224x224: {clips:.2f} clips/s, {rate:.0f} GFLOP/s, {rate / peak:.0%} of the product")
    if peer:
        theirs = CLIPS / min(peers)
        print(f"PyTorch, channels last: {theirs:.2f} clips/s; ours is {clips / theirs:.2f} times as fast")
        peer.process.stdin.close()


if __name__ == "__main__":
    main()
