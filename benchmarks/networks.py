"""Rows of `compiled` that are networks: training loops and a recurrent gradient, in float32.

Invariant: a call trains from the same start for every contender. Ours and JAX's are pure
functions of the parameters, and ours loops inside compiled code; JAX does too, or loops in Python
over a compiled step where that is quicker for it. PyTorch's is the usual eager loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from contest import Contest, Peers

import slopewise as sw

Arrays = tuple[np.ndarray, ...]
functional = sw.nn.functional


def make_layers(rng: np.random.Generator, sizes: Sequence[int]) -> Arrays:
    """Return weights (outputs, inputs) and biases of dense layers, in turn."""
    made: list[np.ndarray] = []
    for fan_in, fan_out in pairwise(sizes):
        made.append(rng.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in))
        made.append(rng.standard_normal(fan_out) * 0.1)
    return tuple(a.astype(np.float32) for a in made)


def make_batch(rng: np.random.Generator, *shape: int) -> Arrays:
    """Return inputs of the shape and labels of ten classes, one for each of the first axis."""
    return rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, shape[0])


def forward(parameters: Sequence[Any], x: Any, activation: Callable[[Any], Any]) -> Any:
    """Apply dense layers with an activation between them."""
    for i in range(0, len(parameters), 2):
        x = x @ parameters[i].T + parameters[i + 1]
        if i + 2 < len(parameters):
            x = activation(x)
    return x


def jax_cross_entropy(jax: Any) -> Callable[[Any, Any], Any]:
    """Return the mean cross-entropy written with JAX."""

    def loss(z: Any, y: Any) -> Any:
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1)
        return -chosen.mean()

    return loss


def train_with_sgd(
    grad: Any, loop: Any, loss: Callable[..., Any], steps: int, rate: float
) -> Callable[..., Any]:
    """Return a function that takes SGD steps on one batch and returns the parameters."""
    gradient = grad(loss)

    def train(parameters: Any, x: Any, y: Any) -> Any:
        def step(_: Any, parameters: Any) -> Any:
            slopes = gradient(parameters, x, y)
            return tuple(p - rate * g for p, g in zip(parameters, slopes, strict=True))

        return loop(0, steps, step, parameters)

    return train


def jax_training(
    jax: Any, step: Callable[..., Any], steps: int, start: Any, x: np.ndarray, y: np.ndarray
) -> Callable[[], Any]:
    """Return a Python loop over a jitted step, where XLA is slower inside `fori_loop`."""
    jitted = jax.jit(step)
    first, *batch = jax.tree_util.tree_map(jax.numpy.asarray, (start, x, y))

    def run() -> Any:
        carry = first
        for _ in range(steps):
            carry = jitted(carry, *batch)
        return jax.block_until_ready(carry)

    return run


def torch_training(
    torch: Any, loss: Callable[..., Any], parameters: Arrays, batches: Sequence[Arrays],
    optimizer: Callable[[Any], Any],
) -> Callable[[], Any]:  # fmt: skip
    """Return an eager loop over batches that starts anew at each call."""
    first = [torch.tensor(p) for p in parameters]
    moved = [tuple(torch.tensor(a) for a in batch) for batch in batches]

    def run() -> Any:
        current = [p.clone().requires_grad_() for p in first]
        stepper = optimizer(current)
        for batch in moved:
            stepper.zero_grad()
            loss(current, *batch).backward()
            stepper.step()
        return tuple(current)

    return run


def shallow_network(peers: Peers) -> Contest:
    """Return the row of 784-128-10 with sigmoid, batch 64."""
    steps, rate, sizes, batch = 50, 0.1, (784, 128, 10), 64
    rng = np.random.default_rng(0)
    parameters, (x, y) = make_layers(rng, sizes), make_batch(rng, batch, 784)
    contest = Contest(
        "MLP 784-128-10, batch 64, sigmoid, SGD, per step", 1e-3, steps, "float32",
        flops=steps * batch * (4.0 * 784 * 128 + 6.0 * 128 * 10),
    )  # fmt: skip

    def make(activation: Any, cross_entropy: Any) -> Any:
        return lambda ps, x, y: cross_entropy(forward(ps, x, activation), y)

    loss = make(sw.sigmoid, functional.cross_entropy)
    contest.add_ours(train_with_sgd(sw.grad, sw.fori_loop, loss, steps, rate), parameters, x, y)

    def in_jax(jax: Any, _: Any) -> Any:
        loss = make(jax.nn.sigmoid, jax_cross_entropy(jax))
        return train_with_sgd(jax.grad, jax.lax.fori_loop, loss, steps, rate)

    contest.add_jax(peers, 0.9, in_jax, parameters, x, y)
    if (torch := peers.torch) is not None:
        run = torch_training(
            torch, make(torch.sigmoid, torch.nn.functional.cross_entropy), parameters,
            [(x, y)] * steps, lambda ps: torch.optim.SGD(ps, lr=rate),
        )  # fmt: skip
        contest.add("PyTorch", run, 0.4)
    return contest


def deep_network(peers: Peers) -> Contest:
    """Return the row of 32-32×5-10 with tanh, 200 batches of 32 by scan."""
    steps, rate, sizes, batch = 200, 0.05, (32, 32, 32, 32, 32, 32, 10), 32
    rng = np.random.default_rng(1)
    parameters = make_layers(rng, sizes)
    batches = [make_batch(rng, batch, 32) for _ in range(steps)]
    xs, ys = (np.stack(column) for column in zip(*batches, strict=True))
    flops = 6.0 * sum(a * b for a, b in pairwise(sizes)) - 2.0 * 32 * 32
    contest = Contest(
        "MLP 32-32×5-10, batch 32, SGD, per step", 3e-3, steps, "float32",
        flops=flops * batch * steps,
    )  # fmt: skip

    def make(activation: Any, cross_entropy: Any) -> Any:
        return lambda ps, x, y: cross_entropy(forward(ps, x, activation), y)

    def train(grad: Any, scan: Any, loss: Any) -> Any:
        gradient = grad(loss)

        def step(parameters: Any, pair: Any) -> Any:
            slopes = gradient(parameters, *pair)
            return tuple(p - rate * g for p, g in zip(parameters, slopes, strict=True)), None

        return lambda parameters, xs, ys: scan(step, parameters, (xs, ys))[0]

    loss = make(sw.tanh, functional.cross_entropy)
    contest.add_ours(train(sw.grad, sw.scan, loss), parameters, xs, ys)
    contest.add_jax(
        peers, 0.4,
        lambda jax, m: train(jax.grad, jax.lax.scan, make(m.tanh, jax_cross_entropy(jax))),
        parameters, xs, ys,
    )  # fmt: skip
    if (torch := peers.torch) is not None:
        run = torch_training(
            torch, make(torch.tanh, torch.nn.functional.cross_entropy), parameters, batches,
            lambda ps: torch.optim.SGD(ps, lr=rate),
        )  # fmt: skip
        contest.add("PyTorch", run, 0.03)
    return contest


def wide_network(peers: Peers) -> Contest:
    """Return the row of 784-1024-1024-10 with ReLU and Adam, batch 256."""
    steps, rate, sizes, batch = 3, 1e-3, (784, 1024, 1024, 10), 256
    rng = np.random.default_rng(2)
    parameters, (x, y) = make_layers(rng, sizes), make_batch(rng, batch, 784)
    flops = 6.0 * sum(a * b for a, b in pairwise(sizes)) - 2.0 * 784 * 1024
    # Adam divides by the root of tiny squares, so that rounding shows where a gradient is near 0.
    contest = Contest(
        "MLP 784-1024-1024-10, batch 256, Adam, per step", 2e-2, steps, "float32",
        flops=flops * batch * steps,
    )  # fmt: skip

    def make_step(library: Any, m: Any, activation: Any, cross_entropy: Any) -> Any:
        def loss(ps: Any, x: Any, y: Any) -> Any:
            return cross_entropy(forward(ps, x, activation), y)

        gradient = library.grad(loss)

        def step(carry: Any, x: Any, y: Any) -> Any:
            ps, means, squares, powers = carry
            gs = gradient(ps, x, y)
            means = tuple(0.9 * a + 0.1 * g for a, g in zip(means, gs, strict=True))
            squares = tuple(0.999 * a + 0.001 * g * g for a, g in zip(squares, gs, strict=True))
            powers = (0.9 * powers[0], 0.999 * powers[1])
            size, root = rate / (1 - powers[0]), 1 / m.sqrt(1 - powers[1])
            ps = tuple(
                p - size * a / (m.sqrt(s) * root + 1e-8)
                for p, a, s in zip(ps, means, squares, strict=True)
            )
            return ps, means, squares, powers

        return step

    ours = make_step(sw, sw, sw.relu, functional.cross_entropy)
    zeros, one = tuple(np.zeros_like(p) for p in parameters), np.array(1, np.float32)
    start = (parameters, zeros, zeros, (one, one))
    contest.add_ours(
        lambda carry, x, y: sw.fori_loop(0, steps, lambda _, c: ours(c, x, y), carry)[0],
        start, x, y,
    )  # fmt: skip
    if (jax := peers.jax) is not None:
        step = make_step(jax, jax.numpy, jax.nn.relu, jax_cross_entropy(jax))
        run = jax_training(jax, step, steps, start, x, y)
        contest.add("JAX", lambda: run()[0], 1.0)
    if (torch := peers.torch) is not None:

        def torch_loss(ps: Any, x: Any, y: Any) -> Any:
            return torch.nn.functional.cross_entropy(forward(ps, x, torch.relu), y)

        trained = torch_training(
            torch, torch_loss, parameters, [(x, y)] * steps,
            lambda ps: torch.optim.Adam(ps, lr=rate),
        )  # fmt: skip
        contest.add("PyTorch", trained, 0.9)
    return contest


def convolutional_network(peers: Peers) -> Contest:
    """Return the row of two convolutions (8 and 16 channels) and a dense layer of 64."""
    steps, rate, batch = 5, 0.05, 64
    rng = np.random.default_rng(3)
    kernels = (
        rng.standard_normal((8, 1, 3, 3)) / 3, rng.standard_normal(8) * 0.1,
        rng.standard_normal((16, 8, 3, 3)) / 9, rng.standard_normal(16) * 0.1,
    )  # fmt: skip
    parameters = tuple(a.astype(np.float32) for a in kernels) + make_layers(rng, (784, 64, 10))
    x, y = make_batch(rng, batch, 1, 28, 28)
    layers = 784 * 72 * 2 / 3 + 196 * 72 * 16 + 784 * 64 + 640
    contest = Contest(
        "CNN conv 8, conv 16, dense 64 on 28×28, batch 64, per step", 1e-3, steps, "float32",
        flops=6.0 * layers * batch * steps,
    )  # fmt: skip

    def make(conv: Any, relu: Any, pool: Any, cross_entropy: Any) -> Any:
        def loss(ps: Any, x: Any, y: Any) -> Any:
            x = pool(relu(conv(x, ps[0]) + ps[1][:, None, None]))
            x = pool(relu(conv(x, ps[2]) + ps[3][:, None, None]))
            return cross_entropy(forward(ps[4:], x.reshape(batch, 784), relu), y)

        return loss

    loss = make(
        lambda x, w: functional.conv2d(x, w, padding=1), sw.relu,
        lambda x: functional.max_pool2d(x, 2), functional.cross_entropy,
    )  # fmt: skip
    contest.add_ours(train_with_sgd(sw.grad, sw.fori_loop, loss, steps, rate), parameters, x, y)

    def in_jax(jax: Any, m: Any) -> Any:
        def pool(x: Any) -> Any:
            window = (1, 1, 2, 2)
            return jax.lax.reduce_window(x, -m.inf, jax.lax.max, window, window, "VALID")

        loss = make(
            lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME"), jax.nn.relu, pool,
            jax_cross_entropy(jax),
        )  # fmt: skip
        return train_with_sgd(
            jax.grad, lambda first, last, step, ps: step(first, ps), loss, 1, rate
        )

    if (jax := peers.jax) is not None:
        step = in_jax(jax, jax.numpy)
        contest.add("JAX", jax_training(jax, step, steps, parameters, x, y), 1.0)
    if (torch := peers.torch) is not None:
        peer = torch.nn.functional

        def torch_loss(ps: Any, x: Any, y: Any) -> Any:
            x = peer.max_pool2d(torch.relu(peer.conv2d(x, ps[0], ps[1], padding=1)), 2)
            x = peer.max_pool2d(torch.relu(peer.conv2d(x, ps[2], ps[3], padding=1)), 2)
            return peer.cross_entropy(forward(ps[4:], x.reshape(batch, 784), torch.relu), y)

        run = torch_training(
            torch, torch_loss, parameters, [(x, y)] * steps,
            lambda ps: torch.optim.SGD(ps, lr=rate),
        )  # fmt: skip
        contest.add("PyTorch", run, 1.0)
    return contest


def recurrent_network(peers: Peers) -> Contest:
    """Return the row of an LSTM of 64 units over 100 steps, batch 16: loss and gradient."""
    length, batch, inputs, units = 100, 16, 32, 64
    rng = np.random.default_rng(4)
    shapes = ((4 * units, inputs), (4 * units, units), (4 * units,))
    parameters = tuple((rng.standard_normal(s) * 0.1).astype(np.float32) for s in shapes)
    x = rng.standard_normal((length, batch, inputs)).astype(np.float32)
    target = rng.standard_normal((batch, units)).astype(np.float32)
    contest = Contest(
        "LSTM 64 units, 100 steps, batch 16, loss and gradient", 1e-3, dtype="float32",
        flops=2.0 * length * batch * 4 * units * (2 * inputs + 3 * units),
    )  # fmt: skip

    def make(m: Any, sigmoid: Any, scan: Any) -> Any:
        def loss(parameters: Any, x: Any, target: Any) -> Any:
            of_input, of_state, bias = parameters

            def step(carry: Any, x: Any) -> Any:
                h, c = carry
                z = x @ of_input.T + h @ of_state.T + bias
                i, f = sigmoid(z[:, :units]), sigmoid(z[:, units : 2 * units])
                g, o = m.tanh(z[:, 2 * units : 3 * units]), sigmoid(z[:, 3 * units :])
                c = f * c + i * g
                return (o * m.tanh(c), c), None

            zeros = m.zeros((batch, units), dtype=m.float32)
            return ((scan(step, (zeros, zeros), x)[0][0] - target) ** 2).mean()

        return loss

    arrays = (parameters, x, target)
    contest.add_ours(sw.value_and_grad(make(sw, sw.sigmoid, sw.scan)), *arrays)
    contest.add_jax(
        peers, 0.7,
        lambda jax, m: jax.value_and_grad(make(m, jax.nn.sigmoid, jax.lax.scan)), *arrays,
    )  # fmt: skip
    if (torch := peers.torch) is not None:
        layer = torch.nn.LSTM(inputs, units)
        with torch.no_grad():
            for place, value in zip(layer.parameters(), parameters, strict=False):
                place.copy_(torch.tensor(value))
            layer.bias_hh_l0.zero_()
        series, wanted = torch.tensor(x), torch.tensor(target)
        leaves = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0]

        def run() -> Any:
            loss = ((layer(series)[0][-1] - wanted) ** 2).mean()
            return loss.detach(), torch.autograd.grad(loss, leaves)

        contest.add("PyTorch", run, 0.5)
    return contest
