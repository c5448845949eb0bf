"""CSKD: cosine-similarity-guided distillation of single-stage and of two-stage detectors."""
