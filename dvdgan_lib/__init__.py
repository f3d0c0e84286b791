"""A reference replication of DVD-GAN (Clark, Donahue, Simonyan, 2019) in JAX and Flax."""
