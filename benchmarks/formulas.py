"""Rows of `compiled` that are formulas: calls, descent, likelihoods, geometry, integration.

Invariant: each row enters the same formula, at the same values, for every contender; a formula
that reads the same in both array modules is written once, with the module `m` as an argument.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from contest import Contest, Peers, address

import slopewise as sw


def call_with_float(peers: Peers) -> Contest:
    """Return the row of one call with a Python float."""
    contest = Contest("one call, Python float in and out", 1e-14)

    def formula(x: Any) -> Any:
        return x * x + 2.0 * x

    compiled = sw.compile(formula)
    contest.add("Slopewise", lambda: compiled(3.0))
    if peers.jax is not None:
        jitted = peers.jax.jit(formula)
        contest.add("JAX", lambda: jitted(3.0).block_until_ready(), 1 / 50)
    return contest


def call_with_out(peers: Peers) -> Contest:
    """Return the row of one call with two small arrays."""
    contest = Contest("one call, two arrays of 8, `out=`", 1e-14)
    a, b = np.random.default_rng(0).random((2, 8))

    def formula(a: Any, b: Any) -> Any:
        return a * b + a

    contest.add_ours(formula, a, b)
    contest.add_jax(peers, 1 / 25, lambda jax, m: formula, a, b)
    return contest


def descend(peers: Peers) -> Contest:
    """Return the row of a million steps of descent on (w - 3)^2."""
    steps, rate = 1_000_000, 1e-6
    contest = Contest("(w - 3)², 10⁶ SGD steps", 1e-9, flops=4.0 * steps)

    def loss(w: Any) -> Any:
        return (w - 3.0) ** 2

    def train(library: Any, loop: Any) -> Any:
        gradient = library.grad(loss)
        return lambda w: loop(0, steps, lambda i, w: w - rate * gradient(w), w)

    start = np.array(0.0)
    contest.add_ours(train(sw, sw.fori_loop), start)
    contest.add_jax(peers, 0.7, lambda jax, m: train(jax, jax.lax.fori_loop), start)
    if peers.c is not None:
        function = peers.c.descend
        function.restype = ctypes.c_double
        arguments = ctypes.c_double(0.0), ctypes.c_long(steps), ctypes.c_double(rate)
        contest.add("C", lambda: function(*arguments), 1.15)
    return contest


def logistic(peers: Peers, dtype: str) -> Contest:
    """Return the row of logistic loss and gradient."""
    n, d = 100_000, 30
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)).astype(dtype)
    w = rng.standard_normal(d).astype(dtype)
    y = (rng.random(n) > 0.5).astype(dtype)
    rtol = 1e-10 if dtype == "float64" else 3e-4
    contest = Contest(
        f"logistic loss and gradient, 100k×30, {dtype}", rtol, dtype=dtype,
        flops=4.0 * n * d, memory=x.nbytes + y.nbytes,
    )  # fmt: skip

    def make(softplus: Any) -> Any:
        def loss(w: Any, x: Any, y: Any) -> Any:
            z = x @ w
            return (softplus(z) - y * z).mean()

        return loss

    contest.add_ours(sw.value_and_grad(make(sw.softplus)), w, x, y)
    contest.add_jax(peers, 0.35, lambda jax, m: jax.value_and_grad(make(jax.nn.softplus)), w, x, y)
    if peers.torch is not None:
        torch = peers.torch
        loss = make(torch.nn.functional.softplus)
        weight = torch.tensor(w, requires_grad=True)
        features, label = torch.tensor(x), torch.tensor(y)

        def run() -> Any:
            value = loss(weight, features, label)
            return value.detach(), torch.autograd.grad(value, weight)[0]

        contest.add("PyTorch", run, 0.3)
    if peers.c is not None:
        function = getattr(peers.c, f"logistic_{dtype}")
        function.restype = ctypes.c_double if dtype == "float64" else ctypes.c_float
        gradient = np.empty_like(w)
        arguments = ctypes.c_long(n), address(x), address(y), address(w), address(gradient)
        contest.add("C", lambda: (function(*arguments), gradient), 1.1)
    return contest


def log_sum_exp(peers: Peers) -> Contest:
    """Return the row of the gradient of log(sum(exp(x)))."""
    x = np.random.default_rng(0).standard_normal(1_000_000)
    contest = Contest("log-sum-exp gradient of 10⁶, float64", 1e-11, memory=2.0 * x.nbytes)
    contest.add_ours(sw.grad(lambda x: sw.logsumexp(x, 0)), x)
    contest.add_jax(peers, 0.65, lambda jax, m: jax.grad(jax.nn.logsumexp), x)
    if peers.c is not None:
        function, gradient = peers.c.softmax, np.empty_like(x)
        function.restype = None
        arguments = ctypes.c_long(x.size), address(x), address(gradient)
        contest.add("C", lambda: (function(*arguments), gradient)[1], 1.15)
    return contest


def mixture(peers: Peers) -> Contest:
    """Return the row of the Gaussian-mixture likelihood of ADBench (Šrajer et al. 2018)."""
    n, d, k = 1000, 10, 25
    size = d + d * (d - 1) // 2
    rng = np.random.default_rng(5)
    alpha, mean = rng.standard_normal(k), rng.random((k, d))
    factor, x = rng.standard_normal((k, size)) * 0.3, rng.standard_normal((n, d))
    place, below = np.zeros((d, d), np.int64), np.tri(d, k=-1, dtype=bool)
    columns, rows = np.nonzero(below.T)
    place[rows, columns] = np.arange(d, size)
    flops = 4.0 * n * k * (size + d)
    contest = Contest("Gaussian-mixture gradient, d=10 k=25 n=1000", 1e-9, flops=flops)

    def make(m: Any, log_sum: Any) -> Any:
        def objective(alpha: Any, mean: Any, factor: Any, x: Any) -> Any:
            scale = m.exp(factor[:, :d])
            lower = m.where(below, factor[:, place], 0.0)
            lower = lower + scale[:, :, None] * np.eye(d)
            q = m.einsum("kij,nkj->nki", lower, x[:, None, :] - mean)
            terms = alpha + factor[:, :d].sum(1) - 0.5 * (q * q).sum(-1)
            prior = 0.5 * ((scale**2).sum() + (factor[:, d:] ** 2).sum())
            return log_sum(terms, 1).sum() - n * log_sum(alpha, 0) + prior

        return objective

    arrays = (alpha, mean, factor, x)
    contest.add_ours(sw.value_and_grad(make(sw, sw.logsumexp), (0, 1, 2)), *arrays)
    contest.add_jax(
        peers, 0.25,
        lambda jax, m: jax.value_and_grad(make(m, jax.nn.logsumexp), (0, 1, 2)), *arrays,
    )  # fmt: skip
    if peers.c is not None:
        function = peers.c.mixture
        function.restype = ctypes.c_double
        made = tuple(np.empty_like(a) for a in arrays[:3])
        arguments = (ctypes.c_long(n), *(address(a) for a in (*arrays, *made)))
        contest.add("C", lambda: (function(*arguments), *made), 1.2)
    return contest


def projections(peers: Peers) -> Contest:
    """Return the row of the blocks of a bundle adjustment's Jacobian, 2×15 an observation."""
    n = 10_000
    rng = np.random.default_rng(2)
    camera = rng.standard_normal((n, 11)) * 0.1
    camera[:, 6] += 1.0
    point = rng.standard_normal((n, 3)) + np.array([0.0, 0.0, 8.0])
    weight, feature = rng.random((n, 1)), rng.standard_normal((n, 2))
    values = np.concatenate([camera, point, weight], 1)
    contest = Contest(
        "bundle-adjustment Jacobian, 10⁴ observations", 1e-9, memory=8.0 * n * (17 + 30)
    )

    def make(m: Any) -> Any:
        def residual(p: Any, feature: Any) -> Any:
            r0, r1, r2 = p[0], p[1], p[2]
            x0, x1, x2 = p[11] - p[3], p[12] - p[4], p[13] - p[5]
            square = r0 * r0 + r1 * r1 + r2 * r2
            angle = m.sqrt(square)
            c, s = m.cos(angle), m.sin(angle) / angle
            h = (1.0 - c) / square * (r0 * x0 + r1 * x1 + r2 * x2)
            y0 = c * x0 + s * (r1 * x2 - r2 * x1) + h * r0
            y1 = c * x1 + s * (r2 * x0 - r0 * x2) + h * r1
            y2 = c * x2 + s * (r0 * x1 - r1 * x0) + h * r2
            u, v = y0 / y2, y1 / y2
            q = u * u + v * v
            bend = p[6] * (1.0 + q * (p[9] + q * p[10]))
            pixel = m.stack([u * bend + p[7], v * bend + p[8]])
            return p[14] * (pixel - feature)

        return residual

    # Each in the mode that is quicker for it.
    ours = sw.jacobian(make(sw))
    contest.add_ours(sw.vmap(ours), values, feature)
    contest.add_jax(peers, 0.3, lambda jax, m: jax.vmap(jax.jacrev(make(m))), values, feature)
    if peers.c is not None:
        function, made = peers.c.projections, np.empty((n, 2, 15))
        function.restype = None
        arguments = (
            ctypes.c_long(n), *(address(a) for a in (camera, point, weight, feature, made)),
        )  # fmt: skip
        contest.add("C", lambda: (function(*arguments), made)[1], 1.5)
    return contest


def k_means(peers: Peers) -> Contest:
    """Return the row of Hessian-vector product and Hessian diagonal of the k-means cost."""
    n, d, k = 10_000, 10, 10
    rng = np.random.default_rng(3)
    x, centres = rng.standard_normal((n, d)), rng.standard_normal((k, d))
    direction = rng.standard_normal((k, d))
    contest = Contest(
        "k-means Hessian product and diagonal, k=10 d=10 n=10⁴", 1e-9,
        flops=3.0 * n * k * d, memory=x.nbytes,
    )  # fmt: skip

    def make(library: Any, m: Any) -> Any:
        def both(centres: Any, direction: Any, x: Any) -> Any:
            def cost(centres: Any) -> Any:
                return m.amin(((x[:, None, :] - centres) ** 2).sum(-1), 1).sum()

            gradient = library.grad(cost)
            product = library.jvp(gradient, (centres,), (direction,))[1]
            # The Hessian is diagonal, so that its product with ones is the diagonal.
            return product, library.jvp(gradient, (centres,), (m.ones_like(centres),))[1]

        return both

    contest.add_ours(make(sw, sw), centres, direction, x)
    contest.add_jax(peers, 0.5, make, centres, direction, x)
    return contest


def runge_kutta(peers: Peers) -> Contest:
    """Return the row of the gradient through 1000 classical Runge-Kutta steps."""
    steps, h = 1000, 0.01
    rng = np.random.default_rng(4)
    a, start = rng.standard_normal((10, 10)) / np.sqrt(10), rng.standard_normal(10)
    contest = Contest(
        "Runge-Kutta, 10 variables, 1000 steps, gradient in the start", 1e-9,
        flops=2.0 * 4 * 200 * steps,
    )  # fmt: skip

    def make(m: Any, scan: Any) -> Any:
        def end(start: Any, a: Any) -> Any:
            def slope(y: Any) -> Any:
                return m.tanh(a @ y) - 0.1 * y

            def step(y: Any, _: Any) -> Any:
                k1 = slope(y)
                k2 = slope(y + 0.5 * h * k1)
                k3 = slope(y + 0.5 * h * k2)
                k4 = slope(y + h * k3)
                return y + h / 6 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), None

            return (scan(step, start, None, steps)[0] ** 2).sum()

        return end

    contest.add_ours(sw.grad(make(sw, sw.scan)), start, a)
    contest.add_jax(peers, 0.3, lambda jax, m: jax.grad(make(m, jax.lax.scan)), start, a)
    return contest


def nested_minimisation(peers: Peers) -> Contest:
    """Return the row of a gradient through a minimisation whose cost is itself a minimum."""
    contest = Contest("gradient through a nested minimisation, 50×50 steps", 1e-8)
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((2, 2)) * 0.3, rng.standard_normal(2)

    def make(library: Any, loop: Any) -> Any:
        def inner_cost(y: Any, x: Any, a: Any) -> Any:
            return ((y - a @ x) ** 2).sum() + 0.1 * (y**4).sum()

        def outer_cost(x: Any, a: Any, b: Any) -> Any:
            slope = library.grad(inner_cost)
            y = loop(0, 50, lambda i, y: y - 0.1 * slope(y, x, a), 0.0 * x)
            return ((y - b) ** 2).sum() + 0.05 * (x**2).sum()

        def best(b: Any, a: Any) -> Any:
            slope = library.grad(outer_cost)
            x = loop(0, 50, lambda i, x: x - 0.2 * slope(x, a, b), 0.1 * b)
            return (x**2).sum()

        return library.grad(best)

    contest.add_ours(make(sw, sw.fori_loop), b, a)
    contest.add_jax(peers, 0.3, lambda jax, m: make(jax, jax.lax.fori_loop), b, a)
    return contest
