"""The workspace: a folder with `coachbook.toml`, and where things lie in it."""

from __future__ import annotations

import secrets
import tomllib
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from babel.numbers import list_currencies
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from coachbook.errors import Invalid, NotFound, Refused, nearest
from coachbook.text import N_, Locale, _

FILE = "coachbook.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WorthActing(_Section):
    """The smallest difference that anybody would act on."""

    share: float = Field(0.05, gt=0, lt=1)
    """For shares, in [0, 1]: 0.05 is five percentage points."""
    relative: float = Field(0.10, gt=0, lt=10)
    """For money, counts and times: relative to the reference."""


class Peers(_Section):
    """What a rep may see of others."""

    naming: Literal["anonymous", "named"] = "anonymous"


class Settings(_Section):
    """All of `coachbook.toml`."""

    name: str = Field("coachbook", min_length=1, max_length=200)
    locale: Literal["en", "zh_CN"] = "en"
    currency: str = "USD"
    time_zone: str = "UTC"
    worth_acting: WorthActing = WorthActing()
    peers: Peers = Peers()

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, code: str) -> str:
        if code not in list_currencies():
            raise ValueError(_("write an ISO 4217 code like USD or CNY"))
        return code

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError):
            raise ValueError(_("write a time zone like Asia/Shanghai")) from None
        return zone

    @property
    def reporting(self) -> str:
        """Everything that can change a figure (language cannot), as JSON; kept with each snapshot."""
        return self.model_dump_json(exclude={"locale", "name"})

    @property
    def digest(self) -> str:
        """A short hash of `reporting`."""
        return sha256(self.reporting.encode()).hexdigest()[:12]

    @classmethod
    def read(cls, text: str, *, origin: str = FILE) -> Settings:
        """Read and validate the text of a `coachbook.toml`.

        Raises
        ------
        Invalid
            Names the key or value, and the nearest right key.
        """
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise Invalid(N_("{file} is not valid TOML: {problem}."), file=origin, problem=error) from None
        except ValidationError as error:
            raise explained(cls, error, origin) from None


_PROBLEMS = {
    "string_type": N_("write a text in quotation marks"),
    "float_type": N_("write a number"),
    "bool_type": N_("write true or false"),
    "date_type": N_("write a day like 2021-11-10"),
    "model_type": N_("write a section with keys"),
    "dict_type": N_("write a section with keys"),
}


def locale_named(name: str) -> Locale:
    """The language of that name.

    Raises
    ------
    Invalid
        Names the two that there are.
    """
    known = [locale.value for locale in Locale]
    if name not in known:
        raise Invalid(
            N_("{value} is not a language of coachbook. There are: {known}."), value=f"“{name}”", known=known
        )
    return Locale(name)


def explained(model: type[BaseModel], error: ValidationError, origin: str) -> Invalid:
    """The worst of pydantic's complaints about a file in our words; a wrong key comes with the nearest right one."""
    problem = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    path = [part for part in problem["loc"] if isinstance(part, str)]
    if problem["type"] == "extra_forbidden":
        known = nearest(path[-1], _keys(model, path[:-1]), most=1)
        return Invalid(
            N_("{file} has no key {key}. The nearest is {known}."),
            file=origin, key=".".join(path), known=".".join([*path[:-1], *known]),
        )  # fmt: skip
    if problem["type"] == "missing":
        return Invalid(N_("{file} lacks the key {key}."), file=origin, key=".".join(path))
    return Invalid(
        N_("In {file}, {key} = {value} cannot be used: {problem}."),
        file=origin, key=".".join(path), value=problem["input"], problem=_problem(problem),
    )  # fmt: skip


def _problem(problem: ErrorDetails) -> str:
    ours = _PROBLEMS.get(problem["type"])
    return _(ours) if ours else str(problem.get("ctx", {}).get("error", problem["msg"]))


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys of the section at `path`, through lists and tables of sections."""
    section: Any = model
    for part in path:
        if part in section.model_fields:
            section = _section(section.model_fields[part].annotation)
    return list(section.model_fields)


def _section(kind: Any) -> Any:
    """What an optional, a list or a table holds."""
    inner = [argument for argument in get_args(kind) if argument is not NoneType]
    return _section(inner[get_origin(kind) is dict]) if inner else kind


@dataclass(frozen=True)
class Workspace:
    """A workspace on disk. Making one with `init` is the only thing here that writes, but for `secret`."""

    folder: Path

    @classmethod
    def find(cls, start: Path) -> Workspace:
        """The workspace that `start` lies in: the folder itself, or the nearest one above.

        Raises
        ------
        NotFound
            Says how to make one.
        """
        folder = start.absolute()
        for candidate in (folder, *folder.parents):
            if (candidate / FILE).is_file():
                return cls(candidate)
        raise NotFound(
            N_("There is no workspace in {folder} or above it. Make one with: coachbook init {example}"),
            folder=start, example="my-team",
        )  # fmt: skip

    @classmethod
    def init(cls, folder: Path, *, settings: Settings | None = None) -> Workspace:
        """Make a workspace in a new or an existing empty folder.

        Raises
        ------
        Refused
            The folder is not empty, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise Refused(
                    N_("{folder} is not empty. Name a new or an empty folder, for instance {example}."),
                    folder=folder, example=f"{folder.name}-new",
                )  # fmt: skip
            Workspace(folder).store.mkdir(mode=0o700)
            (folder / FILE).write_text(_template(settings or Settings()), encoding="utf-8")
        except OSError as error:
            raise Refused(
                N_("The folder {folder} cannot be written: {problem}. Name one that can, for instance {example}."),
                folder=folder, problem=error.strerror or error, example="my-team",
            ) from None  # fmt: skip
        return cls(folder.absolute())

    @cached_property
    def settings(self) -> Settings:
        """What `coachbook.toml` says now."""
        path = self.folder / FILE
        try:
            return Settings.read(path.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            raise Invalid(N_("{file} is not UTF-8. Save it as UTF-8."), file=path) from None

    @property
    def locale(self) -> Locale:
        """The workspace's language."""
        return Locale(self.settings.locale)

    @property
    def store(self) -> Path:
        """What coachbook makes and can make again: snapshots, facts, slices, caches."""
        return self.folder / ".coachbook"

    @property
    def quarantine(self) -> Path:
        """Rows that an import could not use, one file an import."""
        return self.folder / "quarantine"

    @property
    def notebooks(self) -> Path:
        """Ejected notebooks; they take precedence over those shipped."""
        return self.folder / "notebooks"

    @cached_property
    def secret(self) -> str:
        """What grants and sessions are signed with; made on first use, readable by the owner only."""
        path = self.store / "secret"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f"secret.{secrets.token_hex(4)}")
            aside.touch(mode=0o600)
            aside.write_text(secrets.token_urlsafe(32), encoding="ascii")
            try:
                path.hardlink_to(aside)
            except FileExistsError:
                pass
            finally:
                aside.unlink()
        return path.read_text(encoding="ascii")


def _template(settings: Settings) -> str:
    """A `coachbook.toml` with every key and what it means."""
    worth = settings.worth_acting
    lines = [
        (
            "# "
            + _(
                "Settings of this coachbook workspace. A changed value counts from the next import or `coachbook facts`."
            ),
            "",
        ),
        (f"name = {_toml(settings.name)}", ""),
        (f'locale = "{settings.locale}"', "en, zh_CN"),
        (f'currency = "{settings.currency}"', _("reporting currency, ISO 4217")),
        (f'time_zone = "{settings.time_zone}"', _("a day ends here")),
        ("\n[worth_acting]", _("the smallest difference that anybody would act on")),
        (f"share = {worth.share}", _("for shares: 0.05 is five percentage points")),
        (f"relative = {worth.relative}", _("for money, counts and times, relative to the reference")),
        ("\n[peers]", ""),
        (f'naming = "{settings.peers.naming}"', _("what a rep sees of others: anonymous or named")),
    ]
    return "".join(f"{key}  # {said}\n" if said else f"{key}\n" for key, said in lines)


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
