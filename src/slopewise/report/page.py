"""The page: content, readings and pictures put into the templates, and written in one step.

Invariant: templates hold no words and compute nothing; everything from tables is escaped, once by
`cells` and again by Jinja's autoescape; the page refers to nothing outside itself, and the same
result gives the same bytes. It is separate because it is the only module that knows all the others.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup

from slopewise.errors import UsageError
from slopewise.report import dots, flow, lines, readings
from slopewise.report.canvas import select_drawable
from slopewise.report.cells import clean_text, mark_text, shorten_text
from slopewise.report.content import Content, read_content
from slopewise.report.digits import (
    format_count,
    format_duration,
    format_near,
    format_number,
    format_percent,
)
from slopewise.report.messages import LANGUAGES
from slopewise.report.pen import Pen, name_layer
from slopewise.report.speaker import Speaker

if TYPE_CHECKING:
    from slopewise.train.result import Result

ALIKE = 8
"""Notices of one kind that are written out."""
WORST_COLUMNS = 8
"""Columns shown beside the worst rows."""
MORE_COLUMNS = 100
"""Columns shown in the folded table of the worst rows."""
COMPACT = 8
"""Classes from which on a confusion matrix is set small."""
OPTIONS = (
    "seed", "hidden", "activation", "norm", "init", "linear_path", "members", "parameters",
    "optimizer", "lr", "l2", "batch", "epochs", "patience",
)  # fmt: skip


def write_report(result: "Result", path: str | Path, lang: str = "en") -> None:
    """Write a run's report as one HTML file that needs no network.

    Parameters
    ----------
    result : Result
        Of a run that ended in any way, interrupted too.
    path : str or Path
        The file; its folder exists. An old file is replaced in one step.
    lang : {'en', 'ko'}
        English or Korean.

    Raises
    ------
    UsageError
        If the language is another one.
    DataError
        If the file cannot be written; the old one is then still there.
    """
    from slopewise.train.checkpoint import write_bytes

    write_bytes(Path(path), render_report(result, lang).encode())


def render_report(result: "Result", lang: str = "en") -> str:
    """A run's report as HTML.

    Parameters
    ----------
    result : Result
        Of a run that ended in any way, interrupted too.
    lang : {'en', 'ko'}
        English or Korean.

    Returns
    -------
    str
        A whole page.

    Raises
    ------
    UsageError
        If the language is another one.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = np.arange(40.0)
    >>> result = sw.train.fit({"x": x, "y": 2 * x + 1}, target="y", hidden="none", epochs=2)
    >>> render_report(result).splitlines()[:2]
    ['<!DOCTYPE html>', '<html lang="en">']
    """
    if lang not in LANGUAGES:
        raise UsageError(
            f"write_report: lang must be one of {', '.join(LANGUAGES)}, and is {lang!r}"
        )
    return render_content(read_content(result), lang)


def render_content(content: Content, lang: str) -> str:
    """A report as HTML.

    Parameters
    ----------
    content : Content
        What it says.
    lang : {'en', 'ko'}
        English or Korean.

    Returns
    -------
    str
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slopewise.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    speaker = Speaker(lang)
    environment.globals.update(speaker.words())
    page = environment.get_template("report.html")
    return page.render(
        lang=lang,
        content=content,
        title=_name_page(content, speaker),
        source=speaker.name_source(content.source),
        sections=_list_sections(content),
        **_fill_summary(content, speaker),
        **_fill_steps(content, speaker),
        **_fill_curves(content, speaker),
        **_fill_health(content, speaker),
        **_fill_rows(content, speaker),
        settings=_list_settings(content, speaker),
    )


def _name_page(content: Content, speaker: Speaker) -> Markup:
    """The page's title, without elements."""
    target = shorten_text(clean_text(content.target), 60)
    source = speaker.say("source.array")
    if content.source != "the table":
        source = Markup.escape(shorten_text(clean_text(content.source), 60))
    return speaker.say("title", target=target, source=source)


def _list_sections(content: Content) -> list[str]:
    """The page's sections."""
    compared = "confusion" if content.task == "classification" else "scatter"
    looked = ["health"] if content.health is not None else []
    return ["summary", "steps", "loss", "gradients", *looked, compared, "worst", "use", "repeat"]


def _fill_summary(content: Content, speaker: Speaker) -> dict[str, Any]:
    """What the summary shows."""
    side = content.side.name if content.side else "validation"
    figures = content.metrics[side]
    guess = format_number(math.log(len(content.classes))) if content.classes else ""
    metrics = [
        {
            "name": name,
            "test": speaker.figure(name, content.metrics["test"][name]),
            "validation": speaker.figure(name, content.metrics["validation"][name]),
            "meaning": speaker.say(f"metric.{name}.meaning", guess=guess),
        }
        for name in (*content.figures, "rows")
    ]
    return {
        "side_name": side,
        "tiles": [(name, speaker.figure(name, figures[name])) for name in content.figures[:2]],
        "notices": _list_notices(content, speaker),
        "facts": _list_facts(content, speaker),
        "metrics": metrics,
    }


def _list_notices(content: Content, speaker: Speaker) -> list[Markup]:
    """Notices, of each kind only the first few."""
    counts: dict[str, int] = {}
    told = []
    for id, values, english in content.notices:
        counts[id] = counts.get(id, 0) + 1
        if counts[id] <= ALIKE:
            told.append(speaker.notice(id, values, english))
        elif counts[id] == ALIKE + 1:
            more = sum(1 for other, _, _ in content.notices if other == id) - ALIKE
            told.append(speaker.say("notice.more", count=format_count(more)))
    return told


def _list_facts(content: Content, speaker: Speaker) -> list[tuple[str, Any]]:
    """Facts of the run, each a name and what to say."""
    say, shares = speaker.say, content.shares
    rows = {"rows": format_count(content.table_rows), "used": format_count(content.used_rows)}
    split = {
        "train": format_count(shares.train),
        "validation": format_count(shares.validation),
        "test": format_count(shares.test),
        "folds": shares.folds,
    }
    whole = content.used_rows == content.table_rows
    best = say("best.none")
    if content.curves.best:
        epochs = format_count(len(content.curves.epoch))
        best = say("best.text", epoch=format_count(content.curves.best), epochs=epochs)
    counts = {
        "columns": format_count(content.column_count),
        "inputs": format_count(content.inputs),
    }
    return [
        ("table", speaker.name_source(content.source)),
        ("target", mark_text(content.target)),
        ("task", say(f"task.{content.task}", classes=len(content.classes))),
        ("rows", say("rows.all" if whole else "rows.some", **rows)),
        ("columns", say("columns.count", **counts)),
        ("split", say("split.folds" if shares.folds > 1 else "split.plain", **split)),
        ("model", _describe_model(content, speaker)),
        ("training", _describe_training(content, speaker)),
        ("best", best),
    ]


def _describe_model(content: Content, speaker: Speaker) -> Markup:
    """The network in one line."""
    say, settings = speaker.say, content.settings
    parts = [say("model.linear")]
    if settings["hidden"]:
        widths = "-".join(str(width) for width in settings["hidden"])
        parts = [say("model.hidden", widths=widths, activation=settings["activation"])]
        if settings["norm"] in ("batch", "layer"):
            parts.append(say(f"model.{settings['norm']}"))
        if settings["linear_path"]:
            parts.append(say("model.path"))
    if content.members > 1:
        parts.append(say("model.members", members=content.members))
    parts.append(say("model.parameters", parameters=format_count(settings["parameters"])))
    return Markup("; ").join(parts)


def _describe_training(content: Content, speaker: Speaker) -> Markup:
    """How it was trained, in one line."""
    settings = content.settings
    count = len(content.candidates)
    return speaker.say(
        "training.compared" if count > 1 else "training.text",
        optimizer={"adam": "Adam", "sgd": "SGD"}.get(settings["optimizer"], settings["optimizer"]),
        lr=format_number(settings["lr"]),
        batch=format_count(settings["batch"]),
        epochs=format_count(len(content.curves.epoch)),
        seconds=format_duration(content.seconds, speaker.lang),
        count=count,
    )


def _fill_steps(content: Content, speaker: Speaker) -> dict[str, Any]:
    """What the five steps show."""
    steps, curves = content.steps, content.curves
    reading = readings.read_stop(content)
    step = steps.learning_rate * steps.gradient
    slope = format_number(steps.gradient)
    ends = None
    if len(curves.epoch) and np.isfinite(curves.total[[0, -1]]).all():
        ends = [format_number(value, 3) for value in curves.total[[0, -1]]]
    return {
        "stop": speaker.say(reading.id, **reading.values),
        "step_readings": readings.read_step(steps),
        "norm_ends": ends,
        "guess": format_number(1 / len(content.classes)) if content.classes else "",
        "plain": {
            "before": format_near(steps.before, step),
            "gradient": f"({slope})" if steps.gradient < 0 else slope,
            "after": format_near(steps.before - step, step),
        },
    }


def _fill_curves(content: Content, speaker: Speaker) -> dict[str, Any]:
    """Loss curves and gradient norms: pictures, sentences, numbers."""
    curves = content.curves
    norm = str(content.settings.get("norm", "none"))
    pen = Pen(speaker.lang)
    drawn: dict[str, Any] = {"loss": None, "norms": None, "font_missing": pen.missing}
    if len(curves.epoch):
        drawn["loss"] = lines.draw_losses(curves, pen)
        if any(np.any(np.isfinite(line) & (line > 0)) for line in curves.norms.values()):
            drawn["norms"] = lines.draw_norms(curves, norm, pen)
    drawn |= _draw_rows(content, pen)
    drawn["flow"] = flow.draw_watch(content.health, pen) if content.health is not None else None

    def layer(name: str) -> str:
        return name_layer(name, norm, speaker.say)

    sentences = []
    for reading in readings.read_gradients(curves):
        values = dict(reading.values)
        for key in ("first", "last"):
            if values.get(key) in curves.norms:
                values[key] = layer(values[key])
        if "layers" in values:
            values["layers"] = ", ".join(map(layer, values["layers"]))
        sentences.append(speaker.say(reading.id, **values))
    return {
        "pictures": drawn,
        "log_loss_axis": lines.spans_decades(curves.loss, curves.val_loss),
        "loss_readings": readings.read_losses(curves),
        "loss_rows": _list_epochs(content),
        "layers": readings.compare_layers(curves) if len(curves.epoch) else [],
        "layer": layer,
        "gradient_sentences": sentences,
    }


def _fill_health(content: Content, speaker: Speaker) -> dict[str, Any]:
    """What was seen of the gradients on the way: sentences, and a table of the layers."""
    told = content.health.tell(speaker.lang) if content.health is not None else []
    sentences = [part for part in told if isinstance(part, str)]
    tables = [part for part in told if not isinstance(part, str)]
    return {"health_sentences": sentences, "health_table": tables[0] if tables else None}


def _list_epochs(content: Content) -> list[dict[str, Any]]:
    """Some epochs in numbers: the first, the best, the last and some between."""
    curves = content.curves
    count = len(curves.epoch)
    if not count:
        return []
    places = {round(place) for place in np.linspace(0, count - 1, min(count, 11))}
    best = int(np.searchsorted(curves.epoch, curves.best))
    if best < count and curves.epoch[best] == curves.best:
        places.add(best)
    return [
        {
            "epoch": int(curves.epoch[place]),
            "loss": curves.loss[place],
            "val_loss": curves.val_loss[place],
            "lr": curves.lr[place],
        }
        for place in sorted(places)
    ]


def _draw_rows(content: Content, pen: Pen) -> dict[str, Any]:
    """Predicted against true and residuals, of a regression."""
    drawn: dict[str, Any] = {"scatter": None, "residuals": None}
    if content.task == "regression" and content.side is not None:
        truth, prediction, _ = _select_rows(content)
        if len(truth):
            drawn["scatter"] = dots.draw_scatter(truth, prediction, pen)
            drawn["residuals"] = dots.draw_residuals(truth, prediction, pen)
    return drawn


def _select_rows(content: Content) -> tuple[np.ndarray, np.ndarray, int]:
    """Truth and prediction of the rows that can be drawn, and how many cannot."""
    assert content.side is not None
    truth = select_drawable(np.asarray(content.side.truth, float), False)
    prediction = select_drawable(np.asarray(content.side.prediction, float), False)
    good = np.isfinite(truth) & np.isfinite(prediction)
    return truth[good], prediction[good], int((~good).sum())


def _fill_rows(content: Content, speaker: Speaker) -> dict[str, Any]:
    """Confusion or residuals, and the worst rows."""
    names = list(content.worst[0].values) if content.worst else []
    filled: dict[str, Any] = {
        "worst_names": names[:WORST_COLUMNS],
        "more_names": names[WORST_COLUMNS : WORST_COLUMNS + MORE_COLUMNS],
        "cut_names": max(0, len(names) - WORST_COLUMNS - MORE_COLUMNS),
    }
    side = content.side
    if side is None:
        return filled
    if content.task == "regression":
        truth, _, undrawn = _select_rows(content)
        filled |= {
            "drawn": len(truth),
            "undrawn": undrawn,
            "dense": len(truth) > dots.DOTS,
            "residual_readings": readings.read_residuals(side),
        }
        return filled
    assert side.confusion is not None
    pairs = readings.list_pairs(side.confusion)
    many = len(content.classes) > readings.CLASSES_SHOWN
    filled |= {
        "right": int(np.trace(side.confusion)),
        "compact": len(content.classes) >= COMPACT,
        "matrix": None if many else _list_matrix(content, speaker, side.confusion),
        "pairs": pairs[: readings.PAIRS] if many else pairs[:5],
        "pair_count": len(pairs),
        "weak": readings.list_weak(side.confusion) if many else [],
        "absent": int(np.sum(side.confusion.sum(axis=1) == 0)),
    }
    return filled


def _list_matrix(content: Content, speaker: Speaker, confusion: np.ndarray) -> list[dict[str, Any]]:
    """The lines of a confusion matrix."""
    places = 0 if len(content.classes) >= COMPACT else 1
    lines = []
    for code, label in enumerate(content.classes):
        total = int(confusion[code].sum())
        cells = []
        for other, count in enumerate(confusion[code]):
            share = int(count) / total if total else 0.0
            right = other == code
            # Errors are few: a square root lets them be seen. Letters stay readable up to 0.7.
            shade = 0.1 + 0.6 * (share if right else share**0.5)
            kind = ("hit" if right else "miss") if count else "hit zero" if right else "zero"
            cells.append(
                {
                    "count": int(count),
                    "share": format_percent(share, speaker.lang, places),
                    "shade": f"{shade:.2f}",
                    "kind": kind,
                }
            )
        lines.append({"label": label, "cells": cells, "total": total})
    return lines


def _list_settings(content: Content, speaker: Speaker) -> list[tuple[str, Any]]:
    """The run's settings, each a name and its value."""
    shown = []
    for name in OPTIONS:
        value = content.settings.get(name)
        if name == "hidden":
            value = "-".join(map(str, value)) if value else speaker.say("set.hidden.none")
        elif isinstance(value, bool):
            value = speaker.say("yes" if value else "no")
        elif name == "seed":
            value = str(value)
        elif isinstance(value, int):
            value = format_count(value)
        elif isinstance(value, float):
            value = format_number(value)
        shown.append((name, value))
    return shown
