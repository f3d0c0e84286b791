"""A reference replication of DVD-GAN (Clark, Donahue, Simonyan, 2019) in JAX and Flax."""

import os

# SciPy's OpenBLAS reads this when it is loaded, which is later. JAX's QR decompositions on a CPU, those of the orthogonal
# initial weights, run in it: many and small, so that with two threads each waits for the other (8 s instead of 0.2 for a
# laptop's model, 40 s on a busy machine). XLA's own products have threads of their own and are not concerned.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
