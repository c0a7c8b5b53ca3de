"""What a visitor meets: the list of pages, one page, the way in, and what went wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from nbformat import NotebookNode
from tornado.web import HTTPError

from coachbook import access, catalogue, facts
from coachbook.errors import AccessDenied, CoachbookError, Invalid, NotFound, Refused
from coachbook.facts import Member
from coachbook.model.periods import Period, called, parse_day
from coachbook.serve import assets
from coachbook.serve.bar import Chooser, Day, Query, Select, address, html
from coachbook.serve.identity import Identity
from coachbook.serve.kernels import Visit, visiting
from coachbook.serve.notebooks import Shelf, prepared
from coachbook.serve.rendering import WIDGET, Renderer
from coachbook.settings import Workspace, locale_named
from coachbook.text import N_, _, active, day, use
from coachbook.warehouse import Snapshots

LOG = "serve.log"
"""In the workspace's store: what no visitor needs to read."""
PAGE_SECONDS = 300
"""A page that takes longer breaks off, and says so."""
PATIENCE_SECONDS = 10.0
"""Where figures for everybody take longer, the visitor is told, and the page opens by itself."""
AGAIN_SECONDS = 2

_DAYS = {"since": N_("Changes since")}
"""Days that a workbook asks for beyond those of every page, as the title bar calls them."""
_STATUS = {NotFound: 404, Invalid: 400, Refused: 409, AccessDenied: 403}
_HEADERS = {"Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
_POLICY = {
    "default-src": "'self'",
    "script-src": "'self' blob:",  # blob: is how anywidget loads a widget's own script
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}


class Shown(JupyterHandler):
    """A page of ours: its language, its policy, and every error in words."""

    @property
    def workspace(self) -> Workspace:
        """What is served."""
        workspace = self.settings["workspace"]
        assert isinstance(workspace, Workspace)
        return workspace

    @property
    def content_security_policy(self) -> str:
        """Nothing from elsewhere, no script in the page itself."""
        policy = {**_POLICY, "connect-src": f"'self' ws://{self.request.host} blob:"}
        return "; ".join(f"{name} {value}" for name, value in policy.items())

    def set_default_headers(self) -> None:
        """The policy, and nothing that outlives the page."""
        super().set_default_headers()
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> None:  # type: ignore[override]
        """Speak the language asked for; without one, the workspace's."""
        use(self.workspace.locale)
        await super().prepare()
        asked = self.get_query_argument("locale", "")
        if asked and not self._finished:
            use(locale_named(asked))

    def query(self, *names: str) -> Query:
        """Those parameters of the address, empty where they are not given."""
        return {name: self.get_query_argument(name, "") for name in names}

    def frame(self, template: str, **values: Any) -> str:
        """A template of ours with this request's title bar."""
        values = {"path": self.request.path, "query": {}, **values}
        return html(template, brand=self.workspace.settings.name, **values)

    def message(self, title: str, text: str, **values: Any) -> None:
        """Finish with a page that says one thing."""
        values = {"button": "", "back": "", "width": "cb-narrow", **values}
        self.finish(
            self.frame("message.html.j2", title=title, text=text, xsrf=self.xsrf_token.decode(), **values)
        )

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """A refusal is no fault of the server's."""
        if not isinstance(value, CoachbookError):
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """An error page in the visitor's language; details go to the log."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, CoachbookError):
            self.set_status(next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 400))
            text = str(error)
        else:
            text = _meaning(status_code)
        self.message(_("This page cannot be shown"), text, back=_("To the list of pages"))


def _meaning(status: int) -> str:
    if status == 403:
        return _("This is not yours to open.")
    if status in (404, 405):
        return _("There is no such page.")
    if status < 500:
        return _("The address cannot be read.")
    return _("Something failed. The file {file} says what.", file=f".coachbook/{LOG}")


class Nowhere(Shown):
    """Any address that leads nowhere."""

    async def get(self) -> None:
        """404."""
        raise HTTPError(404)

    post = put = delete = patch = head = get


class Login(Shown):
    """Where somebody without a session ends up."""

    @allow_unauthenticated
    async def get(self) -> None:
        """Says how to get in."""
        self.message(
            _("Please come in by the link"),
            _("Open the address that coachbook printed in the terminal where it was started. It works once."),
        )


class Enter(Shown):
    """The way in: looking at the link opens nothing, its button does, once."""

    @allow_unauthenticated
    async def get(self, token: str) -> None:
        """Show the button."""
        if self.current_user:
            self.redirect("/")
        elif not self._identity.is_open(token):
            self._spent()
        else:
            self.message(
                _("Welcome"),
                _("This link opens the pages of {workspace} in this browser. It works once.", workspace=self.workspace.settings.name),
                button=_("Open"),
            )  # fmt: skip

    @allow_unauthenticated
    async def post(self, token: str) -> None:
        """Spend the token, begin the session, and drop the token from the address."""
        user = self._identity.spend(token)
        if user is None:
            self._spent()
        else:
            self._identity.set_login_cookie(self, user)
            self.redirect(address("/", self.query("locale")), status=303)

    @property
    def _identity(self) -> Identity:
        assert isinstance(self.identity_provider, Identity)
        return self.identity_provider

    def _spent(self) -> None:
        self.set_status(403)
        self.message(
            _("This link has been used"),
            _("A link opens coachbook once, so that nobody else can use it later. For a new one, stop coachbook in the terminal with Ctrl-C and start it again with: {command}", command="coachbook serve"),
        )  # fmt: skip


class Home(Shown):
    """The workbooks, and for whom there is a page."""

    async def get(self) -> None:
        """Show the list of a period."""
        self.finish(await asyncio.to_thread(self._list, self.query("period")["period"]))

    def _list(self, asked: str) -> str:
        as_of = Snapshots(self.workspace.store).current().as_of
        periods = facts.periods(self.workspace)
        period = asked or next((p for p in periods if Period.parse(p).span.last <= as_of), periods[0])
        members = facts.roster(self.workspace, period)
        return self.frame(
            "home.html.j2",
            title=self.workspace.settings.name,
            width="",
            query={"period": asked},
            chooser=Chooser("", "/", [_period_select(periods, period)], [("locale", active().value)]),
            about=_("{period}, data as of {day}", period=called(period), day=day(as_of)),
            workbooks=[
                _card(book, members, period) for book in catalogue.workbooks(self.workspace.notebooks)
            ],
        )


def _card(book: catalogue.Workbook, members: list[Member], period: str) -> dict[str, Any]:
    def link(who: Query) -> str:
        return address(f"/w/{book.name}", {**who, "period": period, "locale": active().value})

    teams, called = [], _naming(members)
    for (team_id, team), people in groupby(members, key=lambda m: (m.team_id, m.team)):
        entries = [{"name": called(m), "href": link({"rep": m.rep_id}), "whole": False} for m in people]
        if team_id and "team" in book.scopes:
            entries.append({"name": _("The whole team"), "href": link({"team": team_id}), "whole": True})
        teams.append({"name": team or _("Without a team"), "people": entries})
    return {"heading": book.heading, "question": _(book.question), "teams": teams}


def _naming(members: list[Member]) -> Callable[[Member], str]:
    """How each is called in a list: by name, and by id as well where two have the same."""
    shared = {name for name, count in Counter(m.name for m in members).items() if count > 1}
    return lambda m: f"{m.name} ({m.rep_id})" if m.name in shared else m.name


def _period_select(periods: list[str], chosen: str) -> Select:
    listed = periods if chosen in periods else [chosen, *periods]
    return Select("period", _("Period"), chosen, [("", [(p, called(p)) for p in listed])])


def _who_select(members: list[Member], scope: access.Scope) -> Select:
    """Reps by team on a rep's page; teams on a team's page."""
    if scope.kind == "team":
        teams = {m.team_id: m.team for m in members if m.team_id}
        return Select("team", _("Team"), scope.id, [("", list(teams.items()))])
    called = _naming(members)
    groups = [
        (team or _("Without a team"), [(m.rep_id, called(m)) for m in people])
        for team, people in groupby(members, key=lambda m: m.team)
    ]
    return Select("rep", _("Rep"), scope.id, groups)


class Workbook(Shown):
    """One page: the request is checked and its data are cut before a kernel starts."""

    visit = Visit("", "")
    gone = False
    limit: asyncio.Timeout | None = None
    starting: asyncio.Future[str] | None = None
    days: Query
    parameters: Query
    made: dict[str, Any]

    def initialize(self, voila: dict[str, Any], without_widgets: set[str]) -> None:
        """`voila`: what its renderer needs for any page; `without_widgets`: workbooks whose last page had none."""
        self.voila = voila
        self.without_widgets = without_widgets

    async def get(self, name: str) -> None:
        """Settle what is asked for, then let Voilà make the page."""
        book = catalogue.workbook(name, self.workspace.notebooks)
        asked = facts.Asked(book.name, **self.query("rep", "team", "period", "as_of"))
        self.days = self.query(*(p.name for p in book.parameters if p.name in _DAYS))
        for chosen in filter(None, self.days.values()):
            parse_day(chosen)
        page = await asyncio.to_thread(facts.settle, self.workspace, asked)
        if not await self.settings["figures"].ready(page, PATIENCE_SECONDS):
            self._wait(page)
            return
        await asyncio.to_thread(self._prepare, book, page, asked.as_of)
        self.xsrf_token  # noqa: B018 - sets the cookie that the page needs when it is left
        visiting.set(self.visit)
        complete = False
        try:
            async with asyncio.timeout(0 if self.gone else PAGE_SECONDS) as self.limit:
                await self._show(name)
                complete = True
        except TimeoutError:
            self.log.warning("The page broke off: %s", self.request.uri)
        finally:
            self.limit = None
            if not complete:
                await self._end_kernel()

    async def _show(self, name: str) -> None:
        """Send the page as it is made; the browser loads what it needs while the kernel starts and runs."""
        renderer = Renderer(
            request_handler=self,
            notebook_path=f"{name}.ipynb",
            contents_manager=Shelf(self.workspace.notebooks),
            kernel_spec_manager=self.kernel_spec_manager,
            base_url=self.base_url,
            **self.voila,
        )
        await renderer.initialize()
        kernels: Any = self.kernel_manager
        self.visit.kernel_id = kernels.new_kernel_id()
        self.starting = asyncio.ensure_future(
            kernels.start_kernel(kernel_id=self.visit.kernel_id, kernel_name=catalogue.KERNEL, path="")
        )
        has_widgets = False
        async for piece in renderer.pieces(self.visit.kernel_id, _started(kernels, self.starting)):
            self.write(piece)
            self.flush()
            has_widgets |= WIDGET in piece
        (self.without_widgets.discard if has_widgets else self.without_widgets.add)(name)

    def on_connection_close(self) -> None:
        """The visitor left before the page was complete: nothing more is made, and its kernel ends."""
        super().on_connection_close()
        self.gone = True
        if self.limit:
            self.limit.reschedule(asyncio.get_running_loop().time())

    async def _end_kernel(self) -> None:
        """Also one that is still starting."""
        if self.starting:
            self.starting.cancel()
        kernel_id = self.visit.kernel_id
        if kernel_id in self.kernel_manager:
            await self.kernel_manager.shutdown_kernel(kernel_id, now=True)

    def _wait(self, page: facts.Page) -> None:
        """A page that asks again by itself."""
        self.set_status(202)
        self.set_header("Refresh", str(AGAIN_SECONDS))
        self.message(
            _("The figures are being computed"),
            _(
                "Nobody has asked for {period} as of {as_of} before, so the figures of everybody are computed now. This page opens by itself.",
                period=page.period.label, as_of=day(page.as_of),
            ),
        )  # fmt: skip

    def _prepare(self, book: catalogue.Workbook, page: facts.Page, as_of: str) -> None:
        grant = access.Grant(
            user=self.current_user.username,
            reader="manager",
            scope=page.scope,
            workbook=book.name,
            period=page.period.id,
            as_of=page.as_of.isoformat(),
            locale=active().value,
            host="serve",
            slice=str(facts.cut(self.workspace, page, "manager")),
        )
        self.visit = Visit(grant.user, access.sign(grant, self.workspace.secret))
        known = {parameter.name for parameter in book.parameters}
        everything = {
            page.scope.kind: page.scope.id,
            "period": grant.period,
            "as_of": grant.as_of,
            "locale": grant.locale,
        }
        self.parameters = {name: value for name, value in everything.items() if name in known} | self.days
        self.made = self._around(book, page, as_of)

    def _around(self, book: catalogue.Workbook, page: facts.Page, as_of: str) -> dict[str, Any]:
        """What the template shows around the notebook."""
        here = {page.scope.kind: page.scope.id, "period": page.period.id, "as_of": as_of, **self.days}
        chooser = Chooser(
            book.heading,
            self.request.path,
            [
                _who_select(facts.roster(self.workspace, page.period.id), page.scope),
                _period_select(facts.periods(self.workspace), page.period.id),
            ],
            [(name, value) for name, value in (("as_of", as_of), ("locale", active().value)) if value],
            tuple(Day(name, _(_DAYS[name]), chosen) for name, chosen in self.days.items()),
        )
        return {
            "bar": self.frame("bar.html.j2", query=here, chooser=chooser),
            "title": " · ".join((page.name, page.period.label, book.heading)),
            "lang": active().html,
            "assets": assets.address(),
            "has_widgets": book.name not in self.without_widgets,
            "making": _("Making the page of {name} for {period}", name=page.name, period=page.period.label),
            "broken": _("The page broke off before it was complete. Please open it again."),
            "noscript": _("These pages need JavaScript. Please switch it on for this address."),
            "failed": _("A step of this page failed, so what follows is missing. The file {file} says why.", file=f".coachbook/{LOG}"),
        }  # fmt: skip


async def _started(kernels: Any, starting: Awaitable[str]) -> Any:
    return kernels.get_kernel(await starting)


def prelaunch(handler: Workbook, notebook: NotebookNode, cwd: str) -> NotebookNode:  # noqa: ARG001
    """Voilà's hook, on the event loop: what takes time was done in `Workbook.get`."""
    return prepared(notebook, handler.parameters, handler.made)
