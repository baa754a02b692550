"""Tests of the elementwise kernels, against mpmath."""
