"""Faulty models, mutants and healthy runs: what is detected, told right and cured, as a table.

The listed models are those of `health_cases`. Mutants are healthy trainings with one thing changed
(`health_mutants`); one counts as faulty where its median accuracy over 5 seeds falls by 5 points.
Thresholds were chosen on mutants with even numbers; what is reported is of those with odd ones. A
mutant counts as cured where the plan that `cure` returns, which has seen training rows only, comes
within 2 points of the healthy original on held-out rows, on average over 3 seeds. The oracle tries
every variant of every remedy of `slopewise.health.finding.REMEDIES` and takes the best.

    python benchmarks/health.py --sampled        # 10 minutes on 2 cores
    python benchmarks/health.py [--mutants 320] [--healthy 300] [--jobs 2] [--even]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import multiprocessing
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import health_cases as cases
import health_mutants as mutants
import numpy as np

import slopewise as sw
from slopewise.health import cure, examine
from slopewise.health.finding import REMEDIES
from slopewise.health.remedies import Plan, Rows, list_variants, remake, train_plan

FALLS = 5.0
"""Points of accuracy by which a faulty mutant falls."""
CLOSE = 2.0
"""Points within which a cured one comes to the original."""
SEEDS = 3
LONGEST = 600
"""Steps of the listed models' trainings when they are cured."""


def check_listed(place: int, cured: bool) -> dict[str, Any]:
    """Examine a listed model with three seeds, and cure the first."""
    case = [*cases.FAULTY, *cases.HEALTHY][place]
    x, y, held_x, held_y = case.data()
    steps = case.epochs * -(-len(x) // case.batch)
    row: dict[str, Any] = {"name": case.name, "verdict": 0, "cause": 0, "told": []}
    begun = time.perf_counter()
    with np.errstate(all="ignore"):
        for seed in range(SEEDS):
            sw.manual_seed(seed)
            model = case.model()
            found = examine(model, case.loss, (x, y), batch_size=case.batch, budget=steps,
                            optimizer=case.optimizer(model.parameters()))  # fmt: skip
            first = found.findings[0] if found.findings else None
            right = first.id in case.verdicts if first else not case.verdicts
            row["verdict"] += right
            row["cause"] += right and (first is None or first.cause in case.causes)
            row["told"].append(f"{first.id}: {first.cause}" if first else found.verdict)
        row["seconds"] = (time.perf_counter() - begun) / SEEDS
        if cured:
            sw.manual_seed(0)
            model = case.model()
            healed = cure(model, case.loss, (x, y), held=(held_x, held_y), batch_size=case.batch,
                          steps=min(steps, LONGEST), optimizer=case.optimizer(
                              model.parameters()))  # fmt: skip
            row["cured"] = healed.cured
            row["remedies"] = healed.remedies
            row["before"], row["after"] = (float(np.mean(np.nan_to_num(s, neginf=0.0)))
                                           for s in (healed.before, healed.after))  # fmt: skip
    return row


def is_faulty(recipe: mutants.Recipe, base: float) -> tuple[bool, list[float]]:
    """Train until three of five seeds agree."""
    scores: list[float] = []
    for seed in range(5):
        scores.append(mutants.run(recipe, seed))
        falls = sum(s <= base - FALLS for s in scores)
        if max(falls, len(scores) - falls) == 3:
            break
    return sum(s <= base - FALLS for s in scores) >= 3, scores


def check_mutant(job: tuple[int, str, mutants.Recipe, float], heal: bool) -> dict[str, Any]:
    """Label a mutant, examine it, cure it, and ask the oracle where the cure fell short."""
    number, kind, recipe, base = job
    with np.errstate(all="ignore"):
        faulty, scores = is_faulty(recipe, base)
        row: dict[str, Any] = {"number": number, "kind": kind, "recipe": asdict(recipe),
                               "base": base, "faulty": faulty, "scores": scores}  # fmt: skip
        if not faulty:
            return row
        sw.manual_seed(0)
        model = mutants.build(recipe)
        data = mutants.load(recipe)
        steps = mutants.count_steps(recipe)
        optimizer = mutants.make_optimizer(recipe, model.parameters())
        begun = time.perf_counter()
        found = examine(model, mutants.loss, data[:2], optimizer=optimizer,
                        batch_size=recipe.batch, budget=steps)  # fmt: skip
        row["seconds"] = time.perf_counter() - begun
        row["told"] = [(f.id, f.cause, f.layer, round(f.strength, 2)) for f in found.findings]
        row["right"] = _is_right(kind, recipe, base, row["told"])
        place = mutants.find_spoilt(recipe)
        if place >= 0 and found.findings:
            near = {str(place - 1), str(place), str(place + 1)}
            row["layer_right"] = found.findings[0].layer in near
        if heal:
            _heal(row, recipe, base, model, optimizer, data, steps, found)
    return row


def _is_right(kind: str, recipe: mutants.Recipe, base: float, told: list[Any]) -> bool:
    """Return whether the first finding is a right answer.

    A rate that does not fit what the mutant is otherwise is a right answer, too, where ten times as
    much, or a tenth, is proved to make up for the change.
    """
    if not told:
        return False
    if (told[0][0], told[0][1]) in mutants.RIGHT[kind]:
        return True
    if told[0][1] not in ("learning_rate", "batch") or kind in ("rate_high", "rate_low"):
        return False
    scale = 10.0 if told[0][0] == "learning_rate_low" else 0.1
    changed = mutants.replace(recipe, rate=recipe.rate * scale)
    return float(np.median([mutants.run(changed, seed) for seed in range(3)])) > base - FALLS


def _heal(
    row: dict[str, Any], recipe: mutants.Recipe, base: float, model: Any, optimizer: Any,
    data: cases.Data, steps: int, found: Any,
) -> None:  # fmt: skip
    begun = time.perf_counter()
    healed = cure(model, mutants.loss, data[:2], optimizer=optimizer, batch_size=recipe.batch,
                  steps=steps, examination=found)  # fmt: skip
    row["remedies"] = healed.remedies
    row["after"] = _judge(healed.plan, data, steps)
    row["cured"] = row["after"] >= base - CLOSE
    row["cure_seconds"] = time.perf_counter() - begun
    if row["cured"] and len(healed.remedies) == 1:
        row["curable"] = True  # the oracle tries this one, too
        return
    plan = Plan(model, mutants.loss, remake(optimizer), recipe.batch)
    rows = _as_rows(data)
    best = (-np.inf, plan)
    for remedy in REMEDIES:
        finding = next((f for f in found.findings if remedy in f.remedies), None)
        for variant in list_variants(remedy, plan, rows, finding):
            best = max(best, (train_plan(variant, rows, steps, 0)[0], variant),
                       key=lambda pair: pair[0])  # fmt: skip
    row["oracle"] = _judge(best[1], data, steps)
    row["oracle_remedy"] = best[1].remedies
    row["curable"] = row["oracle"] >= base - CLOSE


def _as_rows(data: cases.Data) -> Rows:
    x, y, held_x, held_y = (sw.tensor(v) for v in data)
    return Rows(x, y, held_x, held_y)


def _judge(plan: Plan, data: cases.Data, steps: int) -> float:
    """Return the accuracy on held-out rows over fresh seeds, in per cent."""
    scores = [train_plan(plan, _as_rows(data), steps, 100 + seed)[0] for seed in range(SEEDS)]
    return 100 * float(np.mean(np.nan_to_num(scores, neginf=0.0)))


def check_healthy(job: tuple[int, mutants.Recipe, float]) -> dict[str, Any]:
    """Examine a healthy run before training and after it."""
    seed, recipe, base = job
    with np.errstate(all="ignore"):
        sw.manual_seed(seed)
        model = mutants.build(recipe)
        data = mutants.load(recipe)
        optimizer = mutants.make_optimizer(recipe, model.parameters())
        told: list[Any] = []
        score = 0.0
        budget = mutants.count_steps(recipe)
        for trained in (False, True):
            if trained:
                score = mutants.train(model, optimizer, data, recipe.batch, recipe.epochs, seed)
                model.train()
            found = examine(model, mutants.loss, data[:2], optimizer=optimizer,
                            batch_size=recipe.batch, budget=budget)  # fmt: skip
            told.append([(f.id, f.cause) for f in found.findings])
    return {"recipe": asdict(recipe), "score": score, "healthy": score >= base - CLOSE,
            "before": told[0], "after": told[1]}  # fmt: skip


def check_noise(seed: int) -> bool:
    """Return whether labels that were drawn by chance are called cured."""
    random = np.random.default_rng(seed)
    sw.manual_seed(seed)
    rows = int(random.choice([40, 200]))
    x, y = random.normal(size=(rows, 4)).astype(np.float32), random.integers(0, 2, rows)
    model = sw.nn.Sequential(sw.nn.Linear(4, 8), sw.nn.Tanh(), sw.nn.Linear(8, 2))
    return cure(model, mutants.loss, (x, y), steps=30).cured


def list_mutants(count: int, seed: int, bases: list[float]) -> list[Any]:
    """Draw different mutants."""
    random = np.random.default_rng(seed)
    seen: set[mutants.Recipe] = set()
    jobs: list[Any] = []
    while len(jobs) < count:
        place = int(random.integers(len(mutants.HEALTHY)))
        kind, recipe = mutants.mutate(mutants.HEALTHY[place], random)
        if recipe not in seen:
            seen.add(recipe)
            jobs.append((len(jobs), kind, recipe, bases[place]))
    return jobs


def measure_base(recipe: mutants.Recipe) -> float:
    """Return the median accuracy of a healthy original."""
    with np.errstate(all="ignore"):
        return float(np.median([mutants.run(recipe, seed) for seed in range(5)]))


def _percent(rows: list[Any], key: str) -> str:
    count = sum(bool(row.get(key)) for row in rows)
    return f"{count} of {len(rows)} ({100 * count / max(1, len(rows)):.1f} %)"


def tell_listed(rows: list[dict[str, Any]]) -> None:
    """Print the table of listed models."""
    print(f"{'model':40} {'verdict':>8} {'cause':>6} {'cured':>6} {'gain':>7} {'s':>6}  told")
    for r in rows:
        gain = f"{100 * (r['after'] - r['before']):+.1f}" if "after" in r else ""
        healed = "" if "cured" not in r else "yes" if r["cured"] else "no"
        print(f"{r['name']:40} {r['verdict']:>6}/{SEEDS} {r['cause']:>4}/{SEEDS} {healed:>6}"
              f" {gain:>7} {r['seconds']:6.2f}  {r['told'][0]}")  # fmt: skip


def tell_mutants(rows: list[dict[str, Any]]) -> None:
    """Print the table of faulty mutants, by what was changed."""
    faulty = [r for r in rows if r["faulty"]]
    for r in faulty:
        r["detected"] = bool(r["told"])
    kinds = sorted({r["kind"] for r in faulty})
    for kind in [*kinds, "all"]:
        own = [r for r in faulty if kind in (r["kind"], "all")]
        line = f"{kind:12} faulty {len(own):3}  detected {_percent(own, 'detected')}"
        line += f"  cause right {_percent(own, 'right')}"
        curable = [r for r in own if r.get("curable")]
        if any("cured" in r for r in own):
            line += f"  cured {_percent(curable, 'cured')} of what the oracle cures"
        print(line)
    layers = [r for r in faulty if "layer_right" in r]
    print(f"layer right {_percent(layers, 'layer_right')}")
    healed = [r["after"] - float(np.median(r["scores"])) for r in faulty if "after" in r]
    if healed:
        print(f"accuracy gained {np.mean(healed):.1f} points; seconds of a cure"
              f" {np.median([r['cure_seconds'] for r in faulty if 'after' in r]):.1f}")  # fmt: skip
    if faulty:
        print(f"seconds of an examination {np.median([r['seconds'] for r in faulty]):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampled", action="store_true")
    parser.add_argument("--mutants", type=int, default=320)
    parser.add_argument("--healthy", type=int, default=300)
    parser.add_argument("--noise", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--even", action="store_true", help="the half thresholds were chosen on")
    parser.add_argument("--no-cure", action="store_true")
    parser.add_argument("--no-listed", action="store_true")
    parser.add_argument("--listed-only", action="store_true")
    parser.add_argument("--out", default="", help="a file for the rows, as JSON lines")
    options = parser.parse_args()
    if options.sampled:
        options.mutants, options.healthy, options.noise = 32, 20, 10
    heal = not options.no_cure
    kept = open(options.out, "a") if options.out else None  # noqa: SIM115

    def keep(row: dict[str, Any]) -> dict[str, Any]:
        if kept is not None:
            kept.write(json.dumps(row, default=str) + "\n")
            kept.flush()
        return row

    with multiprocessing.Pool(options.jobs) as pool:
        if not options.no_listed:
            count = len(cases.FAULTY) + len(cases.HEALTHY)
            check = partial(check_listed, cured=heal and not options.sampled)
            tell_listed([keep(r) for r in pool.imap(check, range(count))])
        if options.listed_only:
            return
        bases = pool.map(measure_base, mutants.HEALTHY)
        best = {name: max(b for b, r in zip(bases, mutants.HEALTHY, strict=True) if r.data == name)
                for name in {r.data for r in mutants.HEALTHY}}  # fmt: skip
        jobs = [j for j in list_mutants(options.mutants, options.seed, bases)
                if j[0] % 2 == (0 if options.even else 1)]  # fmt: skip
        check = partial(check_mutant, heal=heal)
        tell_mutants([keep(r) for r in pool.imap_unordered(check, jobs)])
        random = np.random.default_rng(options.seed)
        drawn = [mutants.draw_healthy(random) for _ in range(options.healthy * 2)]
        runs: list[dict[str, Any]] = []
        for row in pool.imap(check_healthy, [(i, r, best[r.data]) for i, r in enumerate(drawn)]):
            runs += [keep(row)] if row["healthy"] else []
            if len(runs) == options.healthy:
                break
        noise = [] if not heal else pool.map(check_noise, range(options.noise))
        pool.terminate()
    for when in ("before", "after"):
        print(f"false alarms on healthy runs, {when} training: {_percent(runs, when)}")
    if noise:
        print(f"labels drawn by chance that are called cured: {sum(noise)} of {len(noise)}")


if __name__ == "__main__":
    main()
