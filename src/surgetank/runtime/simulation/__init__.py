"""Virtual time: a loop whose clock jumps, an in-memory network, seeded chance, a fence."""
