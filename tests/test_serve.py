"""The live pages: who gets in, whose kernel it is, and what a kernel may know."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
import requests

from coachbook.settings import Workspace
from tests.conftest import RunCli
from tests.processes import until
from tests.serving import Server, kernel_of, put_notebook, short

PAGE = "/w/retrospective?rep=N1&period=2021-10"
PASSWORD = "hunter2-of-the-database"
QUICK = ("# Limits", "print('made for', rep, period, as_of, locale)")


@pytest.fixture(scope="module")
def workspace(firm: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the small company with a notebook that is quick to run."""
    copy = Workspace(Path(shutil.copytree(firm.folder, tmp_path_factory.mktemp("serve") / "workspace")))
    put_notebook(copy, *QUICK)
    return copy


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Server]:
    server = Server(workspace, DATABASE_URL=f"postgres://x:{PASSWORD}@db", COACHBOOK_DATABASE=PASSWORD)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def open_page(server: Server) -> tuple[str, str]:
    """The owner's page and its kernel, running."""
    html = server.session().get(server.base + PAGE).text
    return html, kernel_of(html)


def test_a_link_opens_once_and_only_by_its_button(server: Server) -> None:
    preview = server.session("")
    assert preview.get(server.link).status_code == 200
    assert preview.cookies.keys() == ["_xsrf"]

    browser = server.session("")
    opened = browser.post(server.link, allow_redirects=False)
    assert (opened.status_code, opened.headers["Location"]) == (303, "/")
    cookie = opened.headers["Set-Cookie"].lower()
    assert cookie.startswith("coachbook-")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "expires" not in cookie
    assert browser.get(server.base, allow_redirects=False).status_code == 200

    second = server.session("")
    for answer in (second.get(server.link), second.post(server.link)):
        assert answer.status_code == 403
        assert "coachbook serve" in answer.text
    assert second.cookies.keys() == ["_xsrf"]


def test_a_wrong_link_opens_nothing(server: Server) -> None:
    stranger = server.session("")
    wrong = server.base + "/enter/" + "x" * 43
    assert stranger.get(wrong).status_code == 403
    assert stranger.post(wrong).status_code == 403
    assert stranger.get(server.base, allow_redirects=False).status_code == 302


@pytest.mark.parametrize(
    "path",
    [
        "/", PAGE, "/nowhere", "/voila/tree", "/voila/render/retrospective.ipynb", "/voila/files/coachbook.toml",
        "/voila/api/contents", "/voila/query/1-1-1-1-1", "/voila/execution/1-1-1-1-1", "/api/kernels", "/api/contents",
    ],
)  # fmt: skip
def test_nobody_gets_in_without_a_session(server: Server, path: str) -> None:
    answer = requests.get(server.base + path, allow_redirects=False)
    assert answer.status_code in (302, 403)
    if answer.status_code == 302:
        assert answer.headers["Location"].startswith("/login")
        assert "terminal" in requests.get(server.base + path).text


def test_a_session_is_signed_by_the_workspace(server: Server, workspace: Workspace) -> None:
    ((name, value),) = server.cookie().items()
    forged = server.cookie(secret="another workspace's")[name]
    tampered = value[:-1] + ("0" if value[-1] != "0" else "1")
    for cookie, status in ((value, 200), (forged, 302), (tampered, 302), ("owner", 302)):
        answer = requests.get(server.base, cookies={name: cookie}, allow_redirects=False)
        assert answer.status_code == status
    assert stat.S_IMODE((workspace.store / "secret").stat().st_mode) == 0o600


def test_what_voila_serves_beside_pages_is_gone(server: Server) -> None:
    for path in (
        "/voila/tree",
        "/voila/render/retrospective.ipynb",
        "/voila/files/coachbook.toml",
        "/voila/api/contents",
        "/voila/static/voila.js",
        "/voila/templates/lab/static/index.css",
        "/voila/labextensions/@voila-dashboards/widgets-manager8/package.json",
    ):
        assert server.session().get(server.base + path).status_code == 404, path


ASSETS = r'"(/assets/\w+/[^"]+)"'
"""An address of a file of ours in a page."""


def test_static_files_are_kept_for_ever_and_compressed_to_whoever_takes_that(
    server: Server, open_page: tuple[str, str]
) -> None:
    names = set(re.findall(ASSETS, open_page[0]))
    assert {name.rpartition("/")[2] for name in names} >= {
        "coachbook.css", "coachbook.js", "vega.js", "voila-style.js", "voila.js", "index.css"
    }  # fmt: skip
    for name in (name for name in names if name.endswith((".js", ".css"))):
        plain = requests.get(server.base + name, headers={"Accept-Encoding": "gzip;q=0, identity"})
        packed = requests.get(server.base + name, headers={"Accept-Encoding": "br, gzip"})
        for answer in (plain, packed):
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert answer.headers["Content-Type"].startswith(("text/javascript", "text/css"))
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.content == plain.content
        assert int(packed.headers["Content-Length"]) < len(plain.content)


@pytest.mark.parametrize(
    "name",
    [
        "../../../coachbook.toml", "voila/../../../../../../../../etc/passwd", "/etc/passwd", "//etc/passwd",
        "%2e%2e/%2e%2e/coachbook.toml", "voila/..%2f..%2fconf.json", "voila/%00", "voila", "voila/", ".", "nothing.js",
        "labextensions/jupyterlab_pygments/package.json", "../secret",
    ],
)  # fmt: skip
def test_no_other_file_is_reached_through_them(server: Server, open_page: tuple[str, str], name: str) -> None:
    base = re.findall(ASSETS, open_page[0])[0].rpartition("/")[0]
    wire = HTTPConnection(server.base.removeprefix("http://"))  # takes an address as it is
    wire.request("GET", f"{base}/{name}")
    answer = wire.getresponse()
    assert answer.status in (302, 404)
    assert "root:" not in answer.read().decode()
    wire.close()


def test_only_this_computer_is_answered(server: Server) -> None:
    answer = server.session().get(server.base, headers={"Host": "attacker.example"}, allow_redirects=False)
    assert answer.status_code == 403


def test_a_page_holds_its_parameters_and_forbids_foreign_script(
    server: Server, open_page: tuple[str, str]
) -> None:
    html, _kernel = open_page
    assert "made for N1 2021-10 2021-11-10 en" in html
    headers = server.session().get(server.base).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in policy["script-src"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_kernels_belong_to_whoever_opened_the_page(server: Server, open_page: tuple[str, str]) -> None:
    _html, mine = open_page
    theirs = kernel_of(server.session("second").get(server.base + PAGE).text)
    for kernel, owner, others in ((mine, "owner", ("second", "")), (theirs, "second", ("owner", ""))):
        status = f"{server.base}/api/kernels/{kernel}"
        for other in map(server.session, others):
            assert other.get(status).status_code == 403
            assert other.delete(status).status_code == 403
            assert other.post(f"{server.base}/voila/api/shutdown/{kernel}").status_code == 403
            assert other.post(f"{status}/interrupt").status_code in (403, 404)
            assert other.post(f"{status}/restart").status_code in (403, 404)
            assert server.socket_status(kernel, other.cookies.get_dict()) == 403
        assert short(kernel) in server.kernels()
        assert server.session(owner).get(status).json()["id"] == kernel
        assert server.socket_status(kernel, server.cookie(owner)) == 101

    left = server.session("second").post(f"{server.base}/voila/api/shutdown/{theirs}")
    assert left.status_code == 204
    assert until(lambda: short(theirs) not in server.kernels())
    assert short(mine) in server.kernels()


def test_a_kernel_knows_its_grant_and_nothing_of_the_server(server: Server, workspace: Workspace) -> None:
    own = "import os, json; print('ENV', json.dumps(dict(os.environ)), 'END')"
    put_notebook(workspace, own)
    try:
        html = server.session().get(server.base + PAGE).text
    finally:
        put_notebook(workspace, *QUICK)
    seen = json.loads(
        html.partition("ENV ")[2].partition(" END")[0].replace("&#34;", '"').replace("&quot;", '"')
    )
    parents = server.kernels()[short(kernel_of(html))].environ()
    given = {"PATH", "LANG", "PYTHONUTF8", "COACHBOOK_GRANT"} | ({"TMPDIR"} & set(os.environ))
    by_ipykernel = {
        "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "GIT_PAGER", "JPY_PARENT_PID", "LC_CTYPE", "MPLBACKEND",
        "PAGER", "PYDEVD_USE_FRAME_EVAL", "TERM", "VOILA_KERNEL_ID",
    }  # fmt: skip
    single = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
    assert set(parents) == {"PATH", "LANG", "PYTHONUTF8"} | single
    assert given <= set(seen) <= given | by_ipykernel
    secrets = (PASSWORD, workspace.secret)
    assert not [s for s in secrets for text in (html, json.dumps(parents), json.dumps(seen)) if s in text]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/w/retrospective?rep=Grace+Godd", 404, "Grace Good"),
        ("/w/retrospective?rep=Alex+Kim", 400, "S5"),
        ("/w/retrospective?rep=N1&period=2021-13", 400, "2021-10"),
        ("/w/retrospective?rep=N1&period=1999-01", 400, "2021-10"),
        ("/w/retrospective?rep=N1&as_of=yesterday", 400, "2021-11-10"),
        ("/w/retrospective?rep=N1&team=north", 400, "north"),
        ("/w/retrospektive?rep=N1", 404, "retrospective"),
        ("/w/retrospective?rep=N1&locale=fr", 400, "zh_CN"),
        ("/w/retrospective?rep=" + "x" * 3000, 404, "Grace Good"),
        ("/w/retrospective?rep=%3C/script%3E%3Cscript%3E", 404, "&lt;/script&gt;"),
        ("/?period=2021", 200, "Grace Good"),
        ("/?period=oops", 400, "2021-10"),
        ("/nowhere", 404, "no such page"),
    ],
)
def test_a_wrong_address_gets_words(server: Server, path: str, status: int, says: str) -> None:
    before = set(server.kernels())
    answer = server.session().get(server.base + path)
    assert answer.status_code == status
    assert says in answer.text
    assert "Traceback" not in answer.text
    assert len(answer.text) < 20_000
    assert set(server.kernels()) == before


def test_words_are_in_the_language_asked_for(server: Server) -> None:
    english = server.session().get(server.base + "/w/retrospective?rep=nobody&locale=en")
    chinese = server.session().get(server.base + "/w/retrospective?rep=nobody&locale=zh_CN")
    assert '<html lang="en">' in english.text
    assert '<html lang="zh-CN">' in chinese.text
    heading = chinese.text.partition("<h1>")[2].partition("</h1>")[0]
    assert re.fullmatch(r"[\u4e00-\u9fff]+", heading)


def test_home_lists_a_page_for_every_rep_of_the_newest_complete_month(server: Server) -> None:
    html = server.session().get(server.base + "/?locale=en").text
    for rep in ("N1", "N3", "N4", "N5", "N6", "S1", "S5", "S6"):
        assert f'href="/w/retrospective?rep={rep}&amp;period=2021-10&amp;locale=en"' in html
    assert "rep=M1&" not in html
    assert "王小明" in html
    assert "<script>alert" not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html
    assert "Alex Kim (S5)" in html


def test_a_failing_step_shows_no_traceback(server: Server, workspace: Workspace) -> None:
    put_notebook(workspace, "print('first')", "1 / 0  # secret formula", "print('third')")
    try:
        html = server.session().get(server.base + PAGE).text
    finally:
        put_notebook(workspace, *QUICK)
    assert "first" in html
    assert "serve.log" in html
    assert "third" not in html
    assert "ZeroDivisionError" not in html
    assert "secret formula" not in html
    assert "ZeroDivisionError" in server.log
    assert stat.S_IMODE((workspace.store / "serve.log").stat().st_mode) == 0o600


def test_a_kernel_ends_when_its_visitor_leaves_early(server: Server, workspace: Workspace) -> None:
    before = set(server.kernels())
    put_notebook(workspace, "import time; time.sleep(60)")
    try:
        with server.session().get(server.base + PAGE, stream=True) as answer:
            assert answer.status_code == 200
            head = answer.iter_content(100)
            assert b"html" in next(head)
            assert until(lambda: set(server.kernels()) - before)
    finally:
        put_notebook(workspace, *QUICK)
    assert until(lambda: set(server.kernels()) <= before)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_stopping_ends_every_kernel_and_says_nothing(workspace: Workspace, how: signal.Signals) -> None:
    server = Server(workspace)
    server.session().get(server.base + PAGE)
    kernels = list(server.kernels().values())
    assert kernels
    assert server.stop(how) == (0, "")
    assert until(lambda: not any(kernel.is_running() for kernel in kernels))


def test_stopping_twice_while_pages_are_asked_for_is_as_quiet(workspace: Workspace) -> None:
    server = Server(workspace)
    session = server.session()

    def ask() -> None:
        with suppress(requests.RequestException):
            while True:
                session.get(f"{server.base}/nowhere")

    visitors = [threading.Thread(target=ask) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGINT)
    assert server.stop(signal.SIGINT) == (0, "")
    for visitor in visitors:
        visitor.join()


def test_a_port_in_use_is_refused_with_a_free_one(
    server: Server, run_cli: RunCli, workspace: Workspace
) -> None:
    port = server.base.rpartition(":")[2]
    refused = run_cli("serve", "--port", port, "--no-browser", "--workspace", str(workspace.folder))
    assert refused.returncode == 2
    assert port in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "--port" in refused.stderr.replace(f"--port {port}", "")


def test_figures_that_take_long_are_waited_for_on_a_page_that_says_so(workspace: Workspace) -> None:
    hurried = "from coachbook.serve import pages; pages.PATIENCE_SECONDS = 0"
    server = Server(workspace, first=hurried)
    try:
        asked = f"{server.base}/w/retrospective?rep=N1&period=2021-10&as_of=2021-11-03"
        visitors = [server.session(), server.session()]
        for visitor in visitors:
            answer = visitor.get(asked)
            assert (answer.status_code, answer.headers["Refresh"]) == (202, "2")
            assert "October 2021 as of November 3, 2021" in answer.text
        assert visitors[0].get(asked + "&locale=zh_CN").text.count("2021年11月3日")
        assert not server.kernels()
        until(lambda: visitors[0].get(asked).status_code == 200)
        assert "made for N1" in visitors[1].get(asked).text
        assert visitors[0].get(asked.replace("rep=N1", "rep=nobody")).status_code == 404
    finally:
        server.stop()
