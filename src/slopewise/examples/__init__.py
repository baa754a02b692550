"""The tables that come with the package, found through importlib.resources.

Invariant: each name has a file, a target and a description here, and a source and licence in the
README beside them. It is separate because tables are data: nothing here trains or encodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from slopewise.errors import DataError


@dataclass(frozen=True)
class Example:
    """A table that comes with the package.

    Parameters
    ----------
    name : str
        What it is called.
    target : str
        The column to learn.
    description : str
        One line.
    """

    name: str
    target: str
    description: str

    @property
    def path(self) -> Path:
        """Where the CSV file is."""
        return Path(str(resources.files(__name__).joinpath(f"{self.name}.csv")))


EXAMPLES = {
    example.name: example
    for example in (
        Example("digits", "digit", "1797 handwritten digits of 8 by 8 pixels, ten classes"),
        Example("breast_cancer", "diagnosis", "569 measurements of cell nuclei, two classes"),
        Example("wine", "cultivar", "178 chemical analyses of wines, three classes"),
        Example("diabetes", "progression", "442 patients, disease progression as a number"),
        Example("penguins", "species", "344 penguins with text and missing values, three classes"),
    )
}


def list_examples() -> list[str]:
    """Names of the tables that come with the package.

    Returns
    -------
    list of str

    Examples
    --------
    >>> list_examples()
    ['breast_cancer', 'diabetes', 'digits', 'penguins', 'wine']
    """
    return sorted(EXAMPLES)


def find_example(name: str) -> Example:
    """A table that comes with the package.

    Parameters
    ----------
    name : str
        One of `list_examples()`.

    Returns
    -------
    Example

    Raises
    ------
    DataError
        If there is none of that name.

    Examples
    --------
    >>> find_example("wine").target
    'cultivar'
    """
    if name not in EXAMPLES:
        names = ", ".join(list_examples())
        raise DataError(f"no example called {name}; there are: {names}")
    return EXAMPLES[name]
