"""The command line: `train`, `predict`, `demo`, `check`; on formulas `derive`, `limit`, `descend`.

Invariant: what is wrong with the input is said in one line on standard error, with exit code 2;
Ctrl-C exits with 130; texts come from `messages` in the language asked for. The commands are built
for that language when the program starts, and heavy modules are imported when a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from slopewise.cli.messages import LANGUAGES, read_language, say
from slopewise.cli.spoken import SpokenCommand, SpokenGroup, describe_error
from slopewise.errors import SlopewiseError, SpokenError

ACTIVATIONS = ["relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu", "softplus"]
INITS = ["auto", "he", "glorot", "lecun", "normal"]
COMPILE: dict[str, bool | str] = {"auto": "auto", "yes": True, "no": False}
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of the program's own.

    Returns
    -------
    int
        The exit code; the process's own arguments end the process with it instead.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = run(words)
    if arguments is None:
        sys.exit(code)
    return code


def run(words: list[str]) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    words : list of str
        The arguments.

    Returns
    -------
    int
        0, 1 where `check` found a fault, 2 for wrong input, 130 after Ctrl-C.
    """
    lang = read_language(words)
    try:
        code = build_commands(lang).main(words, prog_name="slopewise", standalone_mode=False)
        return int(code or 0)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        return _refuse(describe_error(error, lang), lang)
    except SlopewiseError as error:
        return _refuse(_translate(error, lang), lang)
    except MemoryError:
        return _refuse(say("out_of_memory", lang), lang)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): there is nobody left to tell.
        sys.stderr.close()
        return 1
    except OSError as error:
        return _refuse(say("disk", lang, reason=error.strerror or str(error)), lang)
    except (KeyboardInterrupt, click.Abort):
        click.echo(say("interrupted_early", lang), err=True)
        return 130


def _refuse(text: str, lang: str) -> int:
    """Say what is wrong: in one line, and for a formula with the place under it."""
    first, *picture = text.split("\n")
    click.secho(say("error", lang, text=first), err=True, fg="red")
    for line in picture:
        click.echo(line, err=True)
    return 2


def _translate(error: SlopewiseError, lang: str) -> str:
    """An error's text in the language, where there is one."""
    from slopewise.train.faults import Fault

    if isinstance(error, Fault) and lang != "en":
        return say(error.id, lang, **error.values)
    if isinstance(error, SpokenError):
        return error.describe(lang)
    return str(error)


def build_commands(lang: str) -> click.Group:
    """The commands, with help in a language.

    Parameters
    ----------
    lang : {'en', 'ko'}
        Which language.

    Returns
    -------
    click.Group
    """
    from slopewise import __version__
    from slopewise.cli.checking import build_check
    from slopewise.cli.formulas import build_derive, build_descend, build_limit

    group = SpokenGroup("slopewise", help=say("about", lang), context_settings=SETTINGS)
    click.version_option(__version__, prog_name="slopewise", help=say("help_version", lang))(group)
    on_tables = (_build_train(lang), _build_predict(lang), _build_demo(lang), build_check(lang))
    on_formulas = (build_derive(lang), build_limit(lang), build_descend(lang))
    for command in (*on_tables, *on_formulas):
        group.add_command(command)
    _help_in(group, lang)
    return group


def _help_in(group: click.Group, lang: str) -> None:
    """Give every --help option its text in the language."""
    for command in (group, *group.commands.values()):
        if isinstance(command, SpokenCommand):
            command.lang = lang
        option = command.get_help_option(click.Context(command))
        if option is not None:
            option.help = say("help_help", lang)


def _add_options(lang: str, options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """One decorator from several options, the common ones last."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        common = [
            click.option("--quiet", "-q", is_flag=True, help=say("help_quiet", lang)),
            click.option("--lang", type=click.Choice(LANGUAGES), help=say("help_lang", lang)),
        ]
        for option in reversed([*options, *common]):
            function = option(function)
        return function

    return decorate


def _build_train(lang: str) -> click.Command:
    """The command `train`."""

    def text(id: str) -> str:
        return say(f"help_{id}", lang)

    options = [
        click.argument("table", required=False),
        click.option("--target", help=text("target")),
        click.option("--out", type=click.Path(path_type=Path), help=text("out")),
        click.option("--sql", help=text("sql")),
        click.option(
            "--task", type=click.Choice(["regression", "classification"]), help=text("task")
        ),
        click.option("--drop", multiple=True, help=text("drop")),
        click.option("--drop-missing-target", is_flag=True, help=text("drop_missing")),
        click.option("--group", help=text("group")),
        click.option("--time", help=text("time")),
        click.option("--hidden", default="auto", show_default=True, help=text("hidden")),
        click.option(
            "--activation",
            type=click.Choice(ACTIVATIONS),
            default="relu",
            show_default=True,
            help=text("activation"),
        ),
        click.option(
            "--norm",
            type=click.Choice(["none", "batch", "layer"]),
            default="none",
            show_default=True,
            help=text("norm"),
        ),
        click.option(
            "--init",
            type=click.Choice(INITS),
            default="auto",
            show_default=True,
            help=text("init"),
        ),
        click.option("--epochs", type=int, default=200, show_default=True, help=text("epochs")),
        click.option("--patience", type=int, default=20, show_default=True, help=text("patience")),
        click.option("--batch", type=int, help=text("batch")),
        click.option("--lr", type=float, help=text("lr")),
        click.option("--l2", type=float, help=text("l2")),
        click.option(
            "--optimizer",
            type=click.Choice(["adam", "sgd"]),
            default="adam",
            show_default=True,
            help=text("optimizer"),
        ),
        click.option(
            "--compile",
            type=click.Choice(list(COMPILE)),
            default="auto",
            show_default=True,
            help=text("compile"),
        ),
        click.option("--seed", type=int, default=0, show_default=True, help=text("seed")),
        click.option("--test", type=float, default=0.15, show_default=True, help=text("test")),
        click.option(
            "--validation", type=float, default=0.15, show_default=True, help=text("validation")
        ),
        click.option("--folds", default="auto", show_default=True, help=text("folds")),
        click.option("--memory", type=int, default=1024, show_default=True, help=text("memory")),
        click.option("--resume", type=click.Path(path_type=Path), help=text("resume")),
        click.option("--no-health", is_flag=True, help=text("no_health")),
    ]

    @click.command("train", cls=SpokenCommand, help=say("train_about", lang))
    @_add_options(lang, options)
    @click.pass_context
    def train(context: click.Context, **values: Any) -> int:
        from slopewise.cli.terminal import Terminal
        from slopewise.cli.training import train_table
        from slopewise.train.faults import Fault
        from slopewise.train.search import read_widths

        given = {
            name
            for name in values
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        }
        terminal = Terminal(lang, values.pop("quiet"))
        values.pop("lang")
        values["hidden"] = read_widths(values["hidden"])
        table, out, resume = values.pop("table"), values.pop("out"), values.pop("resume")
        if table is None and resume is None:
            raise Fault("need_table")
        if values["target"] is None and resume is None:
            raise Fault("need_target")
        values["folds"] = read_folds(values["folds"])
        values["compile"] = COMPILE[values["compile"]]
        values["memory"] = max(1, values["memory"]) * 2**20
        health = not values.pop("no_health")
        return train_table(table, values, given, out, resume, terminal, health)

    return train


def _build_predict(lang: str) -> click.Command:
    """The command `predict`."""
    options = [
        click.argument("folder", metavar="DIR", type=click.Path(path_type=Path)),
        click.argument("table"),
        click.option("--out", type=click.Path(path_type=Path), help=say("help_predict_out", lang)),
        click.option("--keep", multiple=True, help=say("help_keep", lang)),
        click.option("--sql", help=say("help_sql", lang)),
    ]

    @click.command("predict", cls=SpokenCommand, help=say("predict_about", lang))
    @_add_options(lang, options)
    def predict(**values: Any) -> int:
        from slopewise.cli.prediction import predict_table
        from slopewise.cli.terminal import Terminal

        terminal = Terminal(lang, values["quiet"])
        return predict_table(
            values["folder"],
            values["table"],
            values["out"],
            values["keep"],
            values["sql"],
            terminal,
        )

    return predict


def _build_demo(lang: str) -> click.Command:
    """The command `demo`."""
    from slopewise.examples import find_example, list_examples

    names = ", ".join(list_examples())
    options = [
        click.option(
            "--example",
            default="digits",
            show_default=True,
            help=say("help_example", lang, names=names),
        ),
        click.option("--out", type=click.Path(path_type=Path), help=say("help_out", lang)),
        click.option("--seed", type=int, default=0, show_default=True, help=say("help_seed", lang)),
    ]

    @click.command("demo", cls=SpokenCommand, help=say("demo_about", lang))
    @_add_options(lang, options)
    def demo(**values: Any) -> int:
        from slopewise.cli.terminal import Terminal
        from slopewise.cli.training import train_table
        from slopewise.train.faults import Fault

        if values["example"] not in list_examples():
            raise Fault("unknown_example", name=values["example"], names=names)
        example = find_example(values["example"])
        out = values["out"] or Path(f"slopewise-demo-{example.name}")
        options = {"target": example.target, "seed": values["seed"]}
        terminal = Terminal(lang, values["quiet"])
        return train_table(str(example.path), options, set(options), out, None, terminal)

    return demo


def read_folds(text: str) -> int | str:
    """The number of folds from the command line's form.

    Parameters
    ----------
    text : str
        'auto' or a number.

    Returns
    -------
    int or 'auto'

    Raises
    ------
    DataError
        If it is neither.

    Examples
    --------
    >>> read_folds("5"), read_folds("auto")
    (5, 'auto')
    """
    from slopewise.train.faults import Fault

    if text.strip().lower() == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise Fault("bad_folds", value=text) from None
