"""Cells: code that is run in order in one namespace, and what it printed and showed.

Invariant: what is shown beneath a cell came from running exactly the text that stands above it. It
is separate because running code needs neither prose nor pages.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib import pyplot

from slopewise.drawing import Picture
from slopewise.drawing.settings import FAINT, INK, colour_settings, use_settings


@dataclass
class Cell:
    """A cell that was run.

    Attributes
    ----------
    number : int
        From 1.
    code : str
    printed : str
        What it wrote to standard output.
    error : str
        What it was stopped by, or "".
    shown : list
        Accounts and pictures: the value of its last expression, and plots.
    """

    number: int
    code: str
    printed: str = ""
    error: str = ""
    shown: list[Any] = field(default_factory=list)


class CellError(Exception):
    """A cell that does not do what its document says of it."""


class Notebook:
    """Runs cells one after another, as a notebook does.

    Attributes
    ----------
    names : dict of str to object
        The namespace that all cells share.
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "lecture"}
        self.count = 0
        matplotlib.use("agg")  # plots go to memory, whatever this computer has

    def run(self, code: str, *, fails: bool = False, plot: str = "") -> Cell:
        """Run a cell.

        Parameters
        ----------
        code : str
        fails : bool
            Whether an error is what the cell is there to show.
        plot : str
            What its plot shows, in words; a cell that plots needs it.

        Returns
        -------
        Cell

        Raises
        ------
        CellError
            If it fails and should not, or should and does not, or its plot has no words.
        """
        self.count += 1
        cell = Cell(self.count, code)
        name = f"cell {cell.number}"
        # Errors show the user's own line, and look for it here.
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        output = io.StringIO()
        with _plotting() as find_figures:
            try:
                with contextlib.redirect_stdout(output):
                    value = _execute(code, name, self.names)
            except Exception as error:
                if not fails:
                    raise CellError(
                        f"{name} fails: {type(error).__name__}: {error}\n\n{code}"
                    ) from error
                cell.error = f"{type(error).__name__}: {error}"
                value = None
            figures = find_figures()
        cell.printed = output.getvalue()
        if fails and not cell.error:
            raise CellError(f"{name} should fail and does not:\n\n{code}")
        if figures and not plot:
            raise CellError(f'{name} plots; say what is to be seen: ```python plot="…"\n\n{code}')
        settings = colour_settings(INK, FAINT)
        cell.shown = [Picture(figure, plot, settings, False) for figure in figures]
        if value is not None:
            cell.shown.append(value)
        return cell


def _execute(code: str, name: str, names: dict[str, Any]) -> Any:
    """Run code, and return the value of its last line if that is an expression."""
    tree = ast.parse(code, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), name, "eval"), names)


@contextlib.contextmanager
def _plotting() -> Iterator[Callable[[], list[Any]]]:
    """Let pyplot draw in our settings; give a function that returns what was drawn."""
    settings = colour_settings(INK, FAINT) | {"figure.constrained_layout.use": True}
    with use_settings(settings):
        try:
            yield lambda: [pyplot.figure(number) for number in pyplot.get_fignums()]
        finally:
            pyplot.close("all")
