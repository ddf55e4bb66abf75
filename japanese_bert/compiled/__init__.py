"""Compiled code: numba kernels and their cache, arrays in mapped files, random streams."""
