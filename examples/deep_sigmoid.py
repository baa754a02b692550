"""A network that cannot learn, for `slopewise check examples/deep_sigmoid.py:build`."""

from slopewise import nn


def build() -> nn.Sequential:
    """Twelve layers of sigmoids after a normalisation of the input."""
    layers = [nn.BatchNorm1d(13)]
    for width in [13] + [8] * 11:
        layers += [nn.Linear(width, 8), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(8, 3))
