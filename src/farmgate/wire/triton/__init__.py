"""Triton's dialect: the generate extension, and KServe's v2 inference behind it."""
