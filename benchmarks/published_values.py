"""Our FVD beside every published value that can be computed without data: constant videos of each length, and random ones.

    python benchmarks/published_values.py            half an hour on two cores, most of it compilation: a length, a program
    python benchmarks/published_values.py 10 30      only these lengths

Sources: zeros against ones by length, StyleGAN-V's PyTorch port as listed in the README of JunyaoHu's
common_metrics_on_video_quality (8 videos of 64x64); the TF original gives 151.392 at 30. The original's own example says
"around 131" for 16 videos of 15 frames. universome/fvd-comparison: two sets of random videos, 10.138085 by TF and its port.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Runs from a checkout that is not installed, too.

from dvdgan_lib import devices
from dvdgan_lib.metrics import i3d
from dvdgan_lib.metrics.frechet import frechet_distance
from dvdgan_lib.metrics.moments import Moments

FIRST_LENGTH = 10
# By number of frames, 10 to 30.
PUBLISHED = (
    *(569.23, 486.36, 551.96, 146.37, 172.85, 133.70, 152.92, 357.74, 382.47, 306.74, 338.42),
    *(78.17, 82.33, 64.59, 66.06, 314.48, 316.69, 288.97, 287.78, 152.15, 151.26),
)
RANDOM_CLIPS, RANDOM_VALUE = 128, 10.138085


def constant(frames: int) -> float:
    """FVD of zeros against 255s. All videos of a side are alike, so one is enough: both covariances are 0."""
    params = jax.device_put(i3d.load_params())
    logits = [
        np.asarray(i3d.i3d(params, i3d.preprocess(np.full((1, frames, 64, 64, 3), value, np.uint8)))[0])[0].astype(
            np.float64
        )
        for value in (0, 255)
    ]
    return float(np.sum((logits[0] - logits[1]) ** 2))


def random() -> float:
    """fvd-comparison's: videos [N, 16, 224, 224, 3] of RandomState(1) and (2), fed to the network as they are."""
    params = jax.device_put(i3d.load_params())
    moments = []
    for seed in (1, 2):
        videos = np.random.RandomState(seed).rand(RANDOM_CLIPS, 16, 224, 224, 3)
        batches = [jnp.asarray(videos[i : i + 4], jnp.float32) for i in range(0, RANDOM_CLIPS, 4)]
        moments.append(Moments.of(np.concatenate([np.asarray(i3d.i3d(params, batch)[0]) for batch in batches])))
    return frechet_distance(*(x for m in moments for x in (m.mean, m.covariance())))


def main():
    devices.setup()
    devices.keep_memory()
    lengths = [int(n) for n in sys.argv[1:]] or range(FIRST_LENGTH, FIRST_LENGTH + len(PUBLISHED))
    print(f"{'frames':>6} {'ours':>9} {'published':>9}  difference")
    for frames in lengths:
        ours, published = constant(frames), PUBLISHED[frames - FIRST_LENGTH]
        print(f"{frames:6} {ours:9.3f} {published:9.2f}  {ours / published - 1:+.2%}", flush=True)
    print(
        f"15 frames, the original's example: {constant(15):.2f}; it says around 131 for 16 videos of which all are alike too"
    )
    if len(sys.argv) == 1:
        print(f"random videos, {RANDOM_CLIPS} a side: {random():.6f}, published {RANDOM_VALUE}")


if __name__ == "__main__":
    main()
