"""Options that several commands share, and how a value on the command line becomes one that can be used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from coachbook.errors import Invalid, NotFound
from coachbook.settings import FILE, Workspace
from coachbook.text import N_, Locale, use


def text(option: str, example: str) -> Callable[[str], str]:
    """Reads a value that may not be empty."""

    def read(value: str) -> str:
        if not value.strip():
            raise Invalid(
                N_("{option} is empty. Write for instance {example}."), option=option, example=example
            )
        return value

    return read


def path(option: str, example: str) -> Callable[[str], Path]:
    """Reads a path that the file system can take; whether it must exist is the command's business."""

    def read(value: str | Path) -> Path:
        name = text(option, example)(str(value))
        try:
            os.lstat(name)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass
        except (OSError, ValueError) as error:
            raise Invalid(
                N_("{option} {value} is no path that can be used: {problem}. Write for instance {example}."),
                option=option, value=f"“{name}”", problem=getattr(error, "strerror", None) or error, example=example,
            ) from None  # fmt: skip
        return Path(name)

    return read


def whole(option: str, low: int, high: int, example: int) -> Callable[[str], int]:
    """Reads a whole number within bounds."""

    def read(value: str | int) -> int:
        digits = text(option, str(example))(str(value))
        if len(digits) < 10 and digits.isascii() and digits.isdigit() and low <= int(digits) <= high:
            return int(digits)
        raise Invalid(
            N_("{option} takes a whole number from {low} to {high}, for instance {example}, not {value}."),
            option=option, low=low, high=high, example=example, value=f"“{digits}”",
        )  # fmt: skip

    return read


def chosen(option: str, *known: str) -> Callable[[str], str]:
    """Reads one of a few words."""

    def read(value: str) -> str:
        if value in known:
            return value
        raise Invalid(
            N_("{option} takes one of {known}, not {value}."),
            option=option,
            known=list(known),
            value=f"“{value}”",
        )

    return read


def language(option: str) -> Callable[[str], Locale]:
    """Reads a language, and speaks it from here on."""

    def read(value: str) -> Locale:
        locale = Locale(chosen(option, *Locale)(value))
        use(locale)
        return locale

    return read


def workspace(value: str | Workspace) -> Workspace:
    """Reads a workspace's folder, and speaks its language from here on if none is set."""
    if isinstance(value, Workspace):
        return value
    folder = path("--workspace", "my-team")(value)
    if not (folder / FILE).is_file():
        raise NotFound(
            N_("{folder} is not a workspace: it holds no {file}. Make one with: coachbook init {example}"),
            folder=folder, file=FILE, example="my-team",
        )  # fmt: skip
    found = Workspace(folder.absolute())
    if not os.environ.get("COACHBOOK_LOCALE"):
        use(found.locale)
    return found


def here(named: Workspace | None) -> Workspace:
    """The workspace that was named, else the one that the current folder lies in."""
    return named or Workspace.find(Path.cwd())


In = Annotated[
    Workspace | None,
    typer.Option(
        "--workspace", parser=workspace, is_eager=True, metavar="DIR",
        help=N_("The workspace. Without it: the one that the current folder lies in."),
    ),
]  # fmt: skip
Json = Annotated[
    bool,
    typer.Option(
        "--json", help=N_("One JSON document on standard output, everything else on standard error.")
    ),
]
Period = Annotated[
    str | None,
    typer.Option(
        "--period", parser=text("--period", "2021-10"), metavar="PERIOD",
        help=N_("A month like 2021-10, a quarter like 2021-Q4, a week like 2021-W41 or a year like 2021; of a fiscal year FY2021-P07, FY2021-Q4 or FY2021. Without it: the last complete month."),
    ),
]  # fmt: skip
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", parser=text("--as-of", "2021-11-10"), metavar="DAY",
        help=N_("Nothing known after that day counts, for instance 2021-11-10. Without it: the newest data."),
    ),
]  # fmt: skip
Language = Annotated[
    Locale | None,
    typer.Option(
        "--locale", parser=language("--locale"), metavar="LOCALE", help=N_("The language: en or zh_CN.")
    ),
]
Port = Annotated[
    int,
    typer.Option(
        "--port", parser=whole("--port", 1, 65535, 8866), metavar="N",
        help=N_("The port on this computer. Without it: 8866."),
    ),
]  # fmt: skip
NoBrowser = Annotated[bool, typer.Option("--no-browser", help=N_("Print the address only; open no browser."))]
