"""What Typer says by itself, in our words and in the reader's language: help pages and grammar errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer import rich_utils
from typer._click.core import Command as ClickCommand
from typer._click.core import Context
from typer._click.exceptions import BadOptionUsage, MissingParameter, NoSuchOption, UsageError
from typer.core import TyperCommand, TyperGroup

from coachbook.errors import CoachbookError, Invalid, NotFound, nearest
from coachbook.text import N_, _

EXIT_CODES = N_(
    "Exit codes: 0 done; 1 some reps failed, or a check found faults; 2 refused, nothing was changed; 3 done, with rows in quarantine; 130 stopped."
)


class _Spoken(ClickCommand):
    """Help and errors of a command in the active language."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            raise _explained(error, ctx) from None

    def get_usage(self, ctx: Context) -> str:
        synopsis = super().get_usage(ctx).removeprefix("Usage: ")
        return _("Usage: {synopsis}", synopsis=synopsis)

    def get_help_option(self, ctx: Context) -> Any:
        option: Any = super().get_help_option(ctx)
        option.help, option.display_type_rich = _("Show this page."), _no_type
        return option


class Command(_Spoken, TyperCommand):
    """One command."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Take what belongs to the command, and name the first word that does not."""
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest:
            raise Invalid(
                N_("{command} has no use for {value}. See: {command} --help"),
                command=ctx.command_path, value=f"“{rest[0]}”",
            )  # fmt: skip
        return rest


class Group(_Spoken, TyperGroup):
    """The commands together."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command, or name the nearest."""
        if args[0] not in self.commands:
            raise NotFound(
                N_("There is no command {name}. Nearest: {near}. All: {known}."),
                name=f"“{args[0]}”", near=nearest(args[0], list(self.commands), most=2), known=list(self.commands),
            )  # fmt: skip
        return super().resolve_command(ctx, args)


def localised(command: Any) -> Any:
    """The command and those below it, their texts in the active language."""
    rich_utils.ARGUMENTS_PANEL_TITLE = _("Arguments")
    rich_utils.OPTIONS_PANEL_TITLE = _("Options")
    rich_utils.COMMANDS_PANEL_TITLE = _("Commands")
    rich_utils.REQUIRED_LONG_STRING = _("(needed)")
    for _name, each in walked(command):
        each.help, each.epilog, each.options_metavar = _(each.help), _(EXIT_CODES), _("[OPTIONS]")
        for parameter in each.params:
            parameter.help, parameter.show_default = _(parameter.help), False
            if parameter.param_type_name == "argument" or parameter.is_flag:
                parameter.display_type_rich = _no_type
        if hasattr(each, "commands"):
            each.subcommand_metavar = _("COMMAND …")
    return command


def walked(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and all below it, each with the words that call it."""
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from walked(each, *words, name)


def _no_type(*, ctx: Context) -> None:
    """Nothing: `<bool>` and `<str>` tell a reader nothing."""


def _explained(error: UsageError, ctx: Context) -> CoachbookError:
    """A grammar error in our words, with what would be right."""
    parameters: list[Any] = [p for p in ctx.command.get_params(ctx) if p.param_type_name == "option"]
    options = {name: p for p in parameters for name in p.opts}
    asked = ctx.command_path
    match error:
        case NoSuchOption():
            return NotFound(
                N_("{command} has no option {name}. Nearest: {near}. All: {command} --help"),
                command=asked, name=f"“{error.option_name}”", near=nearest(error.option_name, list(options)),
            )  # fmt: skip
        case MissingParameter():
            name = error.param.display_name_raw if error.param else ""
            return Invalid(N_("{command} needs {name}. See: {command} --help"), command=asked, name=name)
        case BadOptionUsage() if options[error.option_name].is_flag:
            return Invalid(N_("{option} takes no value. Write it alone."), option=error.option_name)
        case BadOptionUsage():
            return Invalid(
                N_("{option} needs a value behind it, {value}. See: {command} --help"),
                option=error.option_name, value=options[error.option_name].metavar, command=asked,
            )  # fmt: skip
    return Invalid(
        N_("{command} cannot read this: {problem}. See: {command} --help"), command=asked, problem=error
    )
