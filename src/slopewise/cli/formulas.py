"""The commands on formulas: how their options are read, and what they print or write.

Invariant: a formula is read by the product's own parser and never evaluated as code; a file is
written whole or not at all. It is separate from the commands on tables.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import click

from slopewise.cli.messages import LANGUAGES, say
from slopewise.cli.spoken import SpokenCommand

FORMATS = {"text": "text", "latex": "latex", "html": "html", "md": "markdown"}
_STYLE = (
    "body{max-width:60rem;margin:2rem auto;padding:0 1rem;font-family:sans-serif;line-height:1.7}"
    "math{font-size:1.1em}td,th{padding:.1rem .5rem}svg{max-width:100%;height:auto}"
)


class FormulaCommand(SpokenCommand):
    """A command whose formula may begin with a minus sign, as in -x^2."""

    ignore_unknown_options = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; what begins with two minus signs and is no option is still refused."""
        known = [name for p in self.get_params(ctx) for name in p.opts]
        for word in args:
            name = word.partition("=")[0]
            if name == "--":
                break
            if name.startswith("--") and name not in known:
                near = difflib.get_close_matches(name, known)
                raise click.NoSuchOption(name, possibilities=near, ctx=ctx)
        return super().parse_args(ctx, args)


def read_point(words: Sequence[str], lang: str) -> dict[str, float] | None:
    """Return the point that `--at` or `--from` gives.

    Parameters
    ----------
    words : sequence of str
        Such as "w=4" or "w=4,b=1".
    lang : {'en', 'ko'}
        Language of the error.

    Returns
    -------
    dict of str to float, or None
        None where nothing was given.

    Raises
    ------
    click.UsageError
        If a word is no name=number, or a name is given twice.

    Examples
    --------
    >>> read_point(["w=4,b=-1e-3"], "en")
    {'w': 4.0, 'b': -0.001}
    """
    point: dict[str, float] = {}
    for text in [part for word in words for part in word.split(",") if part.strip()]:
        name, sign, number = text.partition("=")
        name = name.strip().strip('"`')
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not sign or not name or math.isnan(value):
            raise click.UsageError(say("bad_at", lang, text=text.strip()))
        if name in point:
            raise click.UsageError(say("at_twice", lang, name=name))
        point[name] = value
    return point or None


def read_shapes(words: Sequence[str], lang: str) -> dict[str, str]:
    """Return the shapes that `--shape` gives.

    Parameters
    ----------
    words : sequence of str
        Such as "X=n,d".
    lang : {'en', 'ko'}
        Language of the error.

    Returns
    -------
    dict of str to str

    Raises
    ------
    click.UsageError
        If a word is no name=axes.

    Examples
    --------
    >>> read_shapes(["X=n,d", "w=d"], "en")
    {'X': 'n,d', 'w': 'd'}
    """
    shapes: dict[str, str] = {}
    for word in words:
        name, sign, axes = word.partition("=")
        if not sign or not name.strip():
            raise click.UsageError(say("bad_shape", lang, text=word))
        shapes[name.strip()] = axes
    return shapes


def write_out(text: str, out: Path | None, lang: str) -> None:
    """Print a text, or write it to a file and say so."""
    if out is None:
        click.echo(text)
        return
    from slopewise._core.files import write_file

    write_file(out, (text + "\n").encode())
    click.echo(say("text_written", lang, path=out), err=True)


def save_picture(picture: Any, path: Path, lang: str) -> None:
    """Write a picture, and say so and what font it lacks."""
    picture.save(path)
    if picture.missing_font:
        click.secho(say("no_korean_font", lang), err=True, fg="yellow")
    click.echo(say("picture_written", lang, path=path), err=True)


def make_page(title: str, body: str, lang: str) -> str:
    """Return a whole page of HTML around a fragment."""
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>"
    )


def show(found: Any, form: str, title: str, lang: str, **options: Any) -> str:
    """Return an explanation in a format; HTML as a whole page."""
    text = getattr(found, FORMATS[form])(lang, **options)
    return make_page(title, text, lang) if form == "html" else text


def common_options(lang: str) -> list[Callable[..., Any]]:
    """The options of every command on formulas."""
    return [
        click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text",
                     show_default=True, help=say("help_format", lang)),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False),
                     help=say("help_explain_out", lang)),
        click.option("--plot", type=click.Path(path_type=Path, dir_okay=False),
                     help=say("help_plot", lang)),
        click.option("--lang", "language", type=click.Choice(LANGUAGES),
                     help=say("help_lang", lang)),
    ]  # fmt: skip


def add_options(options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """One decorator from several options."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def build_derive(lang: str) -> click.Command:
    """The command `derive`.

    Parameters
    ----------
    lang : {'en', 'ko'}

    Returns
    -------
    click.Command
    """
    from slopewise.explain.quiz import PATTERNS

    options = [
        click.argument("formula", required=False),
        click.option("--at", multiple=True, help=say("help_at", lang)),
        click.option("--wrt", help=say("help_wrt", lang)),
        click.option("--shape", multiple=True, help=say("help_shape", lang)),
        click.option("--expand", is_flag=True, help=say("help_expand", lang)),
        click.option("--order", type=int, default=1, show_default=True,
                     help=say("help_order", lang)),
        click.option("--full", is_flag=True, help=say("help_full", lang)),
        click.option("--hints", is_flag=True, help=say("help_hints", lang)),
        click.option("--step", type=int, help=say("help_step", lang)),
        click.option("--quiz", help=say("help_quiz", lang, names=", ".join(PATTERNS))),
        click.option("--count", type=int, default=5, show_default=True,
                     help=say("help_count", lang)),
        click.option("--seed", type=int, default=0, show_default=True,
                     help=say("help_quiz_seed", lang)),
        click.option("--answers", is_flag=True, help=say("help_answers", lang)),
        *common_options(lang),
    ]  # fmt: skip

    @click.command("derive", cls=FormulaCommand, help=say("derive_about", lang))
    @add_options(options)
    def derive(**given: Any) -> int:
        if given["quiz"] is not None:
            return run_quiz(given, lang)
        if given["formula"] is None:
            raise click.UsageError(say("need_formula", lang))
        return run_derive(given, lang)

    return derive


def run_derive(given: dict[str, Any], lang: str) -> int:
    """Show a derivation, its hints, or one of its steps."""
    from slopewise import explain
    from slopewise.explain.shapes import needs_shapes

    text, point = given["formula"], read_point(given["at"], lang)
    formula = explain.parse(text)
    names = formula.names
    wrts = [name.strip() for name in (given["wrt"] or "").split(",") if name.strip()]
    if given["shape"] or needs_shapes(formula):
        if point is not None:
            raise click.UsageError(say("no_point_of_arrays", lang))
        found: Any = explain.derivation(
            formula, wrts or None, order=given["order"], lang=lang,
            shapes=read_shapes(given["shape"], lang) if given["shape"] else None,
        )  # fmt: skip
        hints = found.hints(lang)
    elif len(wrts) > 1 or (len(names) > 1 and not wrts):
        if given["order"] > 2:
            raise click.UsageError(say("order_of_many", lang))
        make = explain.gradient if given["order"] == 1 else explain.hessian
        found = make(text, wrts or None, at=point, lang=lang)
        hints = [found for e in found.explanations for found in e.hints(lang)]
    else:
        found = explain.derivation(
            text, wrts[0] if wrts else None if names else "x", at=point, order=given["order"],
            expand=given["expand"], lang=lang,
        )  # fmt: skip
        hints = found.hints(lang)
        if given["step"] is not None:
            write_out(found.show_step(given["step"], lang), given["out"], lang)
            return 0
    if given["hints"]:
        numbered = [f"{number}. {hint}" for number, hint in enumerate(hints, 1)]
        if given["out"] is None and sys.stdin.isatty() and sys.stdout.isatty():
            reveal(numbered, found, lang)
        else:
            write_out("\n".join(numbered), given["out"], lang)
        return 0
    drawable = not isinstance(found, explain.ArrayExplanation) and bool(names)
    if given["plot"] is not None and not drawable:
        raise click.UsageError(say("no_picture", lang))
    if given["plot"] is not None and point is None and len(names) > 1:
        raise click.UsageError(say("need_at", lang))
    write_out(show(found, given["form"], text, lang, full=given["full"]), given["out"], lang)
    if drawable and (point is not None or len(names) == 1):
        wrt = wrts[0] if len(wrts) == 1 else None
        portrait = explain.explore_tangents(formula, point, wrt=wrt, lang=lang)
        draw(portrait, given, lang)
    return 0


def is_drawn(given: dict[str, Any]) -> bool:
    """Return whether a drawing belongs below what is printed: text, on a terminal."""
    return given["form"] == "text" and given["out"] is None and sys.stdout.isatty()


def draw(account: Any, given: dict[str, Any], lang: str) -> None:
    """Draw an account on the terminal, and its picture to a file if one is asked for."""
    if is_drawn(given) and (drawing := account.sketch()):
        click.echo("\n" + drawing)
    if given["plot"] is not None:
        save_picture(account.picture(lang), given["plot"], lang)


def build_limit(lang: str) -> click.Command:
    """The command `limit`.

    Parameters
    ----------
    lang : {'en', 'ko'}

    Returns
    -------
    click.Command
    """
    options = [
        click.argument("formula"),
        click.option("--at", multiple=True, required=True, help=say("help_at", lang)),
        click.option("--wrt", help=say("help_limit_wrt", lang)),
        click.option("--step", "h", help=say("help_h", lang)),
        *common_options(lang),
    ]

    @click.command("limit", cls=FormulaCommand, help=say("limit_about", lang))
    @add_options(options)
    def limit(**given: Any) -> int:
        from slopewise import explain

        h = read_numbers(given["h"], lang) if given["h"] is not None else None
        point = read_point(given["at"], lang) or {}
        found = explain.limit(given["formula"], point, h=h, wrt=given["wrt"], lang=lang)
        write_out(show(found, given["form"], given["formula"], lang), given["out"], lang)
        draw(found, given, lang)
        return 0

    return limit


def build_descend(lang: str) -> click.Command:
    """The command `descend`.

    Parameters
    ----------
    lang : {'en', 'ko'}

    Returns
    -------
    click.Command
    """
    from slopewise.explain.descents import OPTIMIZERS

    options = [
        click.argument("formula"),
        click.option("--from", "start", multiple=True, required=True,
                     help=say("help_from", lang)),
        click.option("--lr", type=float, default=0.1, show_default=True,
                     help=say("help_descend_lr", lang)),
        click.option("--optimizer", type=click.Choice(list(OPTIMIZERS)), default="sgd",
                     show_default=True, help=say("help_descend_optimizer", lang)),
        click.option("--steps", type=int, default=50, show_default=True,
                     help=say("help_steps", lang)),
        click.option("--full", is_flag=True, help=say("help_full_table", lang)),
        *common_options(lang),
    ]  # fmt: skip

    @click.command("descend", cls=FormulaCommand, help=say("descend_about", lang))
    @add_options(options)
    def descend(**given: Any) -> int:
        from slopewise import explain

        found = explain.descend(
            given["formula"], read_point(given["start"], lang) or {}, given["lr"],
            given["optimizer"], given["steps"], lang=lang,
        )  # fmt: skip
        text = show(found, given["form"], given["formula"], lang, full=given["full"])
        write_out(text, given["out"], lang)
        draw(found, given, lang)
        return 0

    return descend


def read_numbers(text: str, lang: str) -> list[float]:
    """Return numbers that are written with commas between them.

    Raises
    ------
    click.UsageError
        If one is no number.

    Examples
    --------
    >>> read_numbers("1, 0.1,1e-3", "en")
    [1.0, 0.1, 0.001]
    """
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise click.UsageError(say("bad_numbers", lang, text=text)) from None


def reveal(hints: Sequence[str], found: Any, lang: str) -> None:
    """Show the rules, and then a line of the derivation for each Enter."""
    click.echo("\n".join(hints))
    click.echo(say("hint_next", lang), err=True)
    for line in found.text(lang).splitlines():
        if line.strip() and click.getchar() in ("q", "Q", "\x04"):
            return
        click.echo(line)


def run_quiz(given: dict[str, Any], lang: str) -> int:
    """Set exercises; on a terminal, judge the answers."""
    from slopewise.errors import FormulaError
    from slopewise.explain.quiz import make_exercises

    asked = given["quiz"].strip()
    kinds = [] if asked == "all" else [kind.strip() for kind in asked.split(",") if kind.strip()]
    exercises = make_exercises(kinds, given["count"], given["seed"])
    asking = sys.stdin.isatty() and sys.stdout.isatty() and not given["answers"]
    if not asking or given["out"] is not None:
        parts: list[str] = []
        for number, exercise in enumerate(exercises, 1):
            parts.append(say("exercise", lang, number=number, formula=exercise.formula))
            if given["answers"]:
                parts += [getattr(exercise.answer, FORMATS[given["form"]])(lang), ""]
        write_out("\n".join(parts), given["out"], lang)
        return 0
    right = 0
    for number, exercise in enumerate(exercises, 1):
        click.echo(say("exercise", lang, number=number, formula=exercise.formula))
        while True:
            answer = click.prompt(say("quiz_ask", lang), default="", show_default=False)
            if not answer.strip():
                click.echo(exercise.answer.text(lang))
                break
            try:
                judged = exercise.judge(answer)
            except FormulaError as error:
                click.echo(error.describe(lang), err=True)
                continue
            if judged:
                right += 1
                click.echo(say("quiz_right", lang))
                break
            click.echo(say("quiz_wrong", lang))
    click.echo(say("quiz_score", lang, right=right, count=len(exercises)))
    return 0
