"""Help and errors of click in the language asked for.

Invariant: English is click's own; Korean has every heading, default and error that these commands
can show. It is separate because click speaks through gettext, which knows the process's language
and not that of one command.
"""

from __future__ import annotations

import click

_KOREAN = {
    "usage": "사용법: ",
    "options": "옵션",
    "commands": "명령",
    "default": "[기본값: ",
    "no_option": "없는 옵션입니다: {name}{near}",
    "near": ". 비슷한 옵션: {names}",
    "no_command": "없는 명령입니다: {name}",
    "bad_choice": "{option} 옵션의 값으로 쓸 수 없습니다: {value}. 쓸 수 있는 값: {choices}",
    "bad_value": "{option} 옵션의 값으로 쓸 수 없습니다: {reason}",
    "missing": "필요한 값이 없습니다: {option}",
    "extra": "남는 인수가 있습니다: {words}",
    "no_value": "{option} 옵션에 값이 없습니다",
    "file": "파일을 열 수 없습니다: {name}",
    "help_ending": "도움말: {command} --help",
}
_TYPES = {"integer": "정수", "float": "수", "boolean": "참 또는 거짓"}


class SpokenCommand(click.Command):
    """A command whose help has headings in its language."""

    lang = "en"

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the usage line."""
        if self.lang != "ko":
            return super().format_usage(ctx, formatter)
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, _KOREAN["usage"])
        return None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        if self.lang != "ko":
            return super().format_options(ctx, formatter)
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = [record for p in options if (record := p.get_help_record(ctx))]
        with formatter.section(_KOREAN["options"]):
            formatter.write_dl([(a, b.replace("[default: ", _KOREAN["default"]))
                                for a, b in records])  # fmt: skip
        return None


class SpokenGroup(SpokenCommand, click.Group):
    """A group whose help has headings in its language."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options and the commands."""
        if self.lang != "ko":
            return click.Group.format_options(self, ctx, formatter)
        SpokenCommand.format_options(self, ctx, formatter)
        rows = [(name, command.get_short_help_str(70)) for name, command in self.commands.items()]
        with formatter.section(_KOREAN["commands"]):
            formatter.write_dl(rows)
        return None


def describe_error(error: click.ClickException, lang: str) -> str:
    """Return what a wrong command line is told, in a language.

    Parameters
    ----------
    error : click.ClickException
    lang : {'en', 'ko'}

    Returns
    -------
    str

    Examples
    --------
    >>> describe_error(click.NoSuchOption("--ordr", possibilities=["--order"]), "ko")
    '없는 옵션입니다: --ordr. 비슷한 옵션: --order'
    """
    if lang != "ko":
        return error.format_message()
    if isinstance(error, click.NoSuchOption):
        names = ", ".join(error.possibilities or ())
        near = _KOREAN["near"].format(names=names) if names else ""
        return _KOREAN["no_option"].format(name=error.option_name, near=near)
    if isinstance(error, click.MissingParameter):
        return _KOREAN["missing"].format(option=_name(error))
    if isinstance(error, click.BadParameter):
        return _describe_value(error)
    if isinstance(error, click.BadOptionUsage):
        return _KOREAN["no_value"].format(option=error.option_name)
    if isinstance(error, click.FileError):
        return _KOREAN["file"].format(name=error.ui_filename)
    message = error.format_message()
    for beginning, id, field in (
        ("No such command", "no_command", "name"), ("Got unexpected extra", "extra", "words"),
    ):  # fmt: skip
        if message.startswith(beginning):
            inside = message.partition("(" if "(" in message else "'")[2].rstrip(").'")
            inside = inside.removeprefix("s) (")
            return _KOREAN[id].format(**{field: inside})
    return message


def _name(error: click.BadParameter) -> str:
    """Return how an option is written."""
    if error.param is None:
        return str(error.param_hint or "")
    names = [name for name in error.param.opts if name.startswith("--")]
    return (names or [error.param.human_readable_name])[0]


def _describe_value(error: click.BadParameter) -> str:
    kind = error.param.type if error.param is not None else None
    found = error.message.partition("'")[2].rpartition("'")[0].partition("'")[0]
    if isinstance(kind, click.Choice):
        choices = ", ".join(map(str, kind.choices))
        return _KOREAN["bad_choice"].format(option=_name(error), value=found, choices=choices)
    wanted = _TYPES.get(kind.name if kind is not None else "", "")
    reason = f"{found} ({wanted})" if wanted and found else found or error.message
    return _KOREAN["bad_value"].format(option=_name(error), reason=reason)
