"""Kernels forked from a warm parent: the same as launched ones, private, and none left behind, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_client.multikernelmanager import AsyncMultiKernelManager
from nbformat.v4 import new_code_cell, new_notebook
from tornado.websocket import WebSocketClientConnection, websocket_connect

from coachbook import kernels
from coachbook.kernels import warm
from tests.kernels_desk import (
    NOTING,
    STARTUP,
    Desk,
    Kernel,
    is_gone,
    kernel,
    opened,
    owner,
    strike,
    told,
    wait_for,
    wait_gone,
    waiting,
)
from tests.kernels_notebook import CELLS, HISTORY, executed, plain
from tests.processes import Marked, marked

STRIKES = 5
SPEC = Path(__file__).parents[1] / "lib" / "coachbook" / "kernels" / "spec" / "kernel.json"
IS_FORKED = 'import os; assert "coachbook.kernels.parent" in open(f"/proc/{os.getppid()}/cmdline").read()'


@pytest.fixture(scope="module", autouse=True)
def desk() -> Iterator[Desk]:
    """Kernels `small` (imports `numpy.random` and `noting`), `own` (only `noting`)."""
    with opened() as desk:
        desk.module("noting", NOTING)
        desk.spec("small", "numpy.random", "noting")
        desk.spec("own", "noting")
        yield desk


@pytest.fixture(scope="module")
def small(desk: Desk) -> Iterator[Kernel]:
    """A forked kernel that no test ends."""
    with kernel("small") as small:
        yield small


@pytest.fixture
def mark() -> Iterator[Marked]:
    with marked() as mark:
        yield mark


# The same as launched


def test_a_notebook_of_everything_is_the_same_on_both_kernels(tmp_path: Path) -> None:
    async def made(name: str, how: str) -> dict[str, Any]:
        (folder := tmp_path / name).mkdir()
        manager = AsyncKernelManager(kernel_name=name)
        notebook = await executed(manager, str(folder))
        assert kernels.how(manager) == how
        return plain(notebook, str(folder))

    async def both() -> list[dict[str, Any]]:
        return list(await asyncio.gather(made("python3", "launched"), made("coachbook", "forked")))

    launched, forked = asyncio.run(both())
    assert len(CELLS) >= 30
    for one, other in zip(launched["cells"], forked["cells"], strict=True):
        assert other == one
    assert forked == launched
    kinds = {output["output_type"] for cell in forked["cells"] for output in cell["outputs"]}
    assert kinds == {"stream", "display_data", "execute_result", "error"}
    assert len(forked["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]) > 9


def test_the_kernel_spec_is_installed() -> None:
    installed = Path(KernelSpecManager().get_kernel_spec("coachbook").resource_dir) / "kernel.json"
    assert installed.read_text() == SPEC.read_text()


LOOK = r"""
import gc, locale, os, re, resource, signal, sys, threading, time
def kind(path):
    try:
        return re.sub(r"\d+|/tmp/.*", "", os.readlink(path))
    except OSError:
        return ""
look = {
    "signals": {int(n): str(signal.getsignal(n)) for n in signal.valid_signals() if n not in (32, 33)},
    "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "limits": [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_AS)],
    "leads": (os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()),
    "cwd": os.getcwd(), "path": sys.path, "flags": list(sys.flags), "modules": sys.modules["__main__"].__name__,
    "argv": (os.path.basename(sys.argv[0]), sys.argv[1], len(sys.argv)),
    "environment": {k: v for k, v in os.environ.items()},
    "locale": locale.setlocale(locale.LC_ALL), "zone": time.tzname, "nice": os.nice(0), "umask": os.umask(0o22),
    "threads": sorted(type(t).__name__ for t in threading.enumerate()),
    "files": sorted(kind(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")),
    "gc": (gc.isenabled(), gc.get_threshold()), "stdin": os.read(0, 1), "recursion": sys.getrecursionlimit(),
    "group": os.getgroups(), "cpus": os.sched_getaffinity(0), "session": sys.stdin.__class__.__name__,
}
"""


def test_a_forked_kernel_has_what_an_exec_would_have_given_it(tmp_path: Path) -> None:
    environment = {**os.environ, "TZ": "Asia/Shanghai", "ONLY": "in its own"}
    looks = []
    for name, how in (("python3", "launched"), ("small", "forked")):
        with kernel(name, how, cwd=str(tmp_path), env=environment, extra_arguments=[HISTORY]) as each:
            looks.append(each.ask("look", first=LOOK))
    launched, forked = looks
    more = Counter(forked.pop("files")) - Counter(launched.pop("files"))
    assert set(more) <= {"/dev/null"}, "a pipe at its end, where the kernel was launched"
    for what, found in launched.items():
        assert forked[what] == found, what
    assert forked["environment"]["ONLY"] == "in its own"
    assert (forked["cwd"], forked["zone"][0]) == (str(tmp_path), "CST")


def test_streams_are_those_that_were_asked_for(tmp_path: Path) -> None:
    plainly = ["--IPKernelApp.capture_fd_output=False"]
    with (
        (tmp_path / "err").open("wb") as err,
        kernel("small", stdout=subprocess.DEVNULL, stderr=err, extra_arguments=plainly) as each,
    ):
        links = each.ask('[os.readlink(f"/proc/self/fd/{n}") for n in range(3)]', first="import os")
    assert links == ["/dev/null", "/dev/null", str(tmp_path / "err")]


def test_no_two_kernels_draw_the_same_numbers(small: Kernel) -> None:
    draw = "(random.random(), numpy.random.random(), numpy.random.default_rng().random())"
    with kernel("small") as other:
        assert other.parent == small.parent
        drawn = [each.ask(draw, first="import random, numpy.random") for each in (small, other)]
    assert len({number for numbers in drawn for number in numbers}) == 6


@pytest.mark.parametrize(
    ("code", "reported"),
    [("os._exit(7)", 7), ("os.abort()", -6), ("os.kill(os.getpid(), signal.SIGTERM)", -15)],
)
def test_the_exit_code_is_reported(code: str, reported: int) -> None:
    with kernel("small") as each:
        assert each.code() is None
        each.client.execute(f"import os, signal\n{code}")
        assert each.ended() == reported
        assert not each.manager.is_alive()


def test_a_graceful_end_runs_handlers_flushes_files_and_says_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.spec("data", "duckdb", "noting")
    loud = ["--IPKernelApp.capture_fd_output=False"]
    with (tmp_path / "said").open("w+") as said:
        with kernel("data", stdout=said, stderr=said, extra_arguments=loud) as each:
            each.run(
                "import atexit, duckdb, sys\n"
                f"left = open({str(tmp_path / 'left')!r}, 'w')\nleft.write('flushed')\n"
                f"atexit.register(lambda: open({str(tmp_path / 'handled')!r}, 'w').close())\n"
                "atexit.register(lambda: print('last words', file=sys.__stderr__, flush=True))\n"
                "connection = duckdb.connect()\nconnection.sql('select 1').fetchall()"
            )
            each.client.shutdown()
            assert each.ended() == 0
        said.seek(0)
        assert said.read() == "last words\n"
    assert (tmp_path / "left").read_text() == "flushed"
    assert (tmp_path / "handled").exists()


# The parent


def _threads(pid: int) -> list[str]:
    names = [path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")]
    return [name for name in names if not name.startswith("jemalloc")]


def test_the_parent_has_one_thread_and_nothing_that_a_fork_would_break(small: Kernel) -> None:
    with kernel("coachbook") as real:
        assert len(_threads(real.parent)) == 1
        assert len(_threads(real.process.pid)) > 1, "a kernel has more, so threads can be seen"
    threads, files = small.ask("noting.before['threads'], noting.before['files']", first="import noting")
    assert len(threads) == 1
    assert [file for file in files if "eventfd" in file or file.endswith((".duckdb", ".sqlite"))] == []
    assert small.ask("[os.readlink(p) for p in Path('/proc/self/fd').iterdir() if p.is_symlink()]",
                     first="import os; from pathlib import Path").count("anon_inode:[eventfd]") > 0  # fmt: skip


def test_a_kernel_comes_up_without_importing_anything(desk: Desk) -> None:
    with kernel("own") as each:
        late, all_of_them = each.ask(
            "sorted(set(sys.modules) - noting.before['modules']), sorted(sys.modules)",
            first="import sys, noting",
        )
    assert late == []
    assert "ipykernel.ipkernel" in all_of_them


def test_kernels_know_nothing_of_sales() -> None:
    with kernel("own") as each:
        modules = each.ask("sorted(sys.modules)", first="import sys")
    rooms = {name for name in modules if name.startswith("coachbook.")}
    assert "coachbook.kernels" in rooms
    assert {name for name in rooms if not name.startswith("coachbook.kernels")} == set()


def test_one_parent_forks_all_kernels_of_a_kind(small: Kernel) -> None:
    with kernel("small", env={**os.environ, "GRANT": "another"}) as same:
        assert same.parent == small.parent
    with kernel("small", env={**os.environ, "PYTHONUTF8": "1"}) as differing, kernel("own") as importing:
        assert len({small.parent, differing.parent, importing.parent}) == 3


def test_who_asks_while_the_parent_warms_up_waits_for_it() -> None:
    together = Barrier(4)
    environment = {**os.environ, "PYTHONOPTIMIZE": "0"}

    def parent(_number: int) -> int:
        together.wait(30)
        with kernel("own", env=environment) as each:
            return each.parent

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(parent, range(4)))) == 1


def test_no_secret_shows_in_the_environment_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "owner-4711")
    environment = {**os.environ, "GRANT": "kernel-4712"}
    with kernel("own", env={**environment, "PYTHONIOENCODING": "utf-8"}) as each:
        assert each.ask("os.environ['PASSWORD'], os.environ['GRANT']", first="import os") == (
            "owner-4711", "kernel-4712",
        )  # fmt: skip
        for pid in (each.process.pid, each.parent):
            shown = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
            assert b"PATH=" in shown[0]
            assert not any(secret in each for each in shown for secret in (b"4711", b"4712"))


def _address(name: str = "small") -> str:
    return kernels.lend(kernels.kind(name, os.environ)).path


def _request(folder: Path) -> dict[str, Any]:
    return {"argv": ["-f", str(folder / "asked.json")], "cwd": "/", "env": {"HOME": str(folder)}}


def test_sockets_are_this_user_s_alone(small: Kernel) -> None:
    assert kernels.folder().stat().st_mode & 0o777 == 0o700
    assert Path(_address()).stat().st_mode & 0o777 == 0o600
    assert str(small.manager.ip).startswith(f"{kernels.folder()}/")


STRANGER = """
import json, os, socket, sys
if sys.argv[1] == "stranger":
    os.setuid(65534)
with socket.socket(socket.AF_UNIX) as asking:
    asking.settimeout(20)
    asking.connect(sys.argv[2])
    message = sys.argv[3].encode()
    try:
        asking.sendall(len(message).to_bytes(4) + message)
        print(asking.recv(4))
    except OSError:
        print(b"")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_gets_no_kernel_even_where_the_socket_can_be_reached(tmp_path: Path) -> None:
    path = Path(_address())
    path.parent.chmod(0o711)
    path.chmod(0o666)
    try:
        answers = [
            subprocess.run(
                [sys.executable, "-c", STRANGER, who, path, json.dumps(_request(tmp_path))],
                capture_output=True, text=True, timeout=30,
            ).stdout
            for who in ("stranger", "myself")
        ]  # fmt: skip
    finally:
        path.parent.chmod(0o700)
        path.chmod(0o600)
    assert answers[0] == "b''\n"
    assert answers[1].startswith("b'\\x00")


def test_a_client_that_sends_nothing_or_rubbish_is_nobody_s_harm(small: Kernel) -> None:
    rubbish = [
        b"", b"\0", b"\0\0\0\x09half", b"\xff\xff\xff\xffno end", b"\0\0\0\x04none", b"\0\0\0\x02[]", b"\0\0\0\x02\xff\xff",
        b'\0\0\0\x0b{"argv": 1}', b'\0\0\0\x29{"argv": [1], "cwd": 0, "env": {"a": 1}}  ',
    ]  # fmt: skip
    with ExitStack() as held:
        for sent in rubbish:
            client = held.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(_address())
            client.sendall(sent)
        with kernel("small") as each:
            assert each.parent == small.parent


def test_a_kernel_that_cannot_come_up_costs_no_parent(small: Kernel) -> None:
    before = small.parent
    with pytest.raises(FileNotFoundError), kernel("small", cwd="/nonexistent"):
        pass
    with kernel("small") as each:
        assert each.parent == before


# Sources that change


def test_changed_code_is_what_the_next_kernel_sees_and_what_running_ones_do_not(desk: Desk) -> None:
    changing = desk.module("changing", "value = 1")
    desk.spec("changing", "changing")
    gate = desk.gate()
    with kernel("changing") as before, ThreadPoolExecutor(1) as threads:
        slow = threads.submit(_value, {**os.environ, "GATE": str(gate)})
        assert waiting(gate) != before.process.pid
        changing.write_text("value = 22")
        with kernel("changing") as after:
            assert after.ask("changing.value", first="import changing") == 22
            assert before.ask("changing.value", first="import changing") == 1
            assert after.parent != before.parent
            (gate / "open").touch()
            assert slow.result(30) == (1, before.parent)
        retired = before.parent
    wait_gone(retired)


def _value(environment: dict[str, str]) -> tuple[int, int]:
    with kernel("changing", env=environment) as each:
        return each.ask("changing.value", first="import changing"), each.parent


def test_code_that_changes_while_it_is_imported_is_imported_anew(desk: Desk) -> None:
    early = desk.module("early", "value = 1")
    desk.module(
        "late",
        f"import early\nif early.value == 1:\n    with open({str(early)!r}, 'w') as file:\n        file.write('value = 2')",
    )
    desk.spec("while", "early", "late")
    with kernel("while") as each:
        assert each.ask("early.value", first="import early") == 2


# Where nothing can be forked


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("reason", ["interpreter", "module", "pipes"])
def test_where_nothing_can_be_forked_kernels_are_launched_and_one_line_says_so(
    desk: Desk, tmp_path: Path, mark: Marked, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    (tmp_path / "coachbook.py").write_text("raise ImportError")
    options: dict[str, Any] = {"env": mark.environment}
    name = "own"
    match reason:
        case "interpreter":
            options["env"]["PYTHONPATH"] = str(tmp_path)
        case "module":
            name = desk.spec("other", argv=("python", "-m", "ipykernel", "-f", "{connection_file}"))
        case "pipes":
            options["stderr"] = subprocess.PIPE
    for _time in range(2):
        with kernel(name, "launched", log=logging.getLogger("host"), **options) as each:
            assert each.run("print(6 * 7)") == "42\n"
    [line] = _said(caplog)
    assert line.startswith("Kernels are launched, not forked: ")
    wait_for(lambda: not mark.processes())


def test_a_module_that_cannot_be_imported_is_named_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.spec("wanting", "no_such_module", "noting")
    for _time in range(2):
        with kernel("wanting", log=logging.getLogger("host")) as each:
            assert each.ask("'noting' in noting.before['modules']", first="import noting")
    assert _said(caplog) == ["Not imported before kernels are forked: no_such_module"]


# What a host does


def test_a_cell_that_never_ends_can_be_interrupted(small: Kernel, tmp_path: Path) -> None:
    for endless in ("while True: pass", "import time; time.sleep(600)", "import subprocess; subprocess.run(['sleep', '600'])"):  # fmt: skip
        before = small.process.pid
        small.begin(endless, tmp_path / "begun")
        if "subprocess" in endless:
            wait_for(small.process.children)
        small.manager.interrupt_kernel()
        assert _error(small) == "KeyboardInterrupt"
        assert small.run("print('goes on')") == "goes on\n"
        assert small.process.pid == before
        wait_for(lambda: not small.process.children())


def _error(kernel: Kernel) -> str:
    while (message := kernel.client.get_iopub_msg(timeout=30))["msg_type"] != "error":
        pass
    return str(message["content"]["ename"])


@pytest.mark.parametrize("now", [True, False], ids=["at once", "gracefully"])
def test_a_kernel_is_restarted_by_a_fork(now: bool) -> None:
    with kernel("small") as each:
        each.run("kept = 1")
        before, parent = each.process.pid, each.parent
        each.manager.restart_kernel(now=now)
        each.client.wait_for_ready(timeout=30)
        assert is_gone(before)
        assert (kernels.how(each.manager), each.parent) == ("forked", parent)
        assert each.ask("'kept' in globals()") is False


@pytest.mark.parametrize("transport", ["ipc", "ports"])
def test_a_host_that_has_chosen_where_to_listen_is_obeyed(transport: str, tmp_path: Path) -> None:
    manager = KernelManager(kernel_name="small")
    if transport == "ipc":
        manager.transport, manager.ip = "ipc", str(tmp_path / "k")
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            manager.shell_port = free.getsockname()[1]
    chosen = manager.transport, manager.ip
    manager.start_kernel()
    try:
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=30)
        client.stop_channels()
        assert kernels.how(manager) == "forked"
        assert (manager.transport, manager.ip) == chosen
    finally:
        manager.shutdown_kernel(now=True)


def _sockets() -> set[Path]:
    return {path for path in kernels.folder().rglob("*") if path.is_socket() and "parent" not in path.name}


def test_kernels_whose_ids_begin_alike_have_sockets_of_their_own(small: Kernel) -> None:
    async def answers() -> list[str]:
        managers = AsyncMultiKernelManager(default_kernel_name="small")
        ids = [f"notebook-kernel-{n}" for n in range(2)]
        said = []
        await asyncio.gather(*(managers.start_kernel(kernel_id=each) for each in ids))
        for each in ids:
            client = managers.get_kernel(each).client()
            client.start_channels()
            await client.wait_for_ready(timeout=30)
            reply = await client.execute_interactive("import os", user_expressions={"pid": "os.getpid()"}, timeout=30)  # fmt: skip
            said.append(reply["content"]["user_expressions"]["pid"]["data"]["text/plain"])
            client.stop_channels()
        await managers.shutdown_all(now=True)
        return said

    before = _sockets()
    assert len(set(asyncio.run(answers()))) == 2
    assert _sockets() == before


def test_64_kernels_at_once_come_up_a_few_at_a_time_and_leave_nothing(desk: Desk, mark: Marked) -> None:
    gate = desk.gate()
    environment = {**mark.environment, "GATE": str(gate)}
    few = 2 * (os.cpu_count() or 1)

    async def storm() -> set[str]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
        managers = AsyncMultiKernelManager(default_kernel_name="small")
        starting = [asyncio.ensure_future(managers.start_kernel(env=environment)) for _ in range(64)]
        try:
            await asyncio.to_thread(wait_for, lambda: len(list(gate.iterdir())) >= few)
            await asyncio.sleep(1)  # others would come meanwhile
            assert len(mark.kernels()) == few
        finally:
            (gate / "open").touch()
        made = [managers.get_kernel(each) for each in await asyncio.gather(*starting)]
        assert len(mark.kernels()) == 64
        assert len({kernel.ppid() for kernel in mark.kernels()}) == 1
        await managers.shutdown_all(now=True)
        return {kernels.how(each) for each in made}

    before = _sockets()
    assert asyncio.run(storm()) == {"forked"}
    assert mark.kernels() == []
    assert _sockets() == before


# Faults


PHASES = ("at its prompt", "in a cell", "ending")
FAMILY = """
import os, subprocess
family = [subprocess.Popen(["sleep", "600"]).pid, os.fork()]
if not family[1]:
    while True: pass
"""
"""A cell that starts processes, one by a fork."""


def _family(kernel: Kernel) -> list[int]:
    family: list[int] = kernel.ask("family", first=FAMILY)
    assert not any(map(is_gone, family))
    return family


def _in_phase(phase: str, kernel: Kernel, folder: Path) -> None:
    """Bring a kernel there."""
    if phase == "in a cell":
        kernel.begin("while True: pass", folder / "begun")
    if phase == "ending":
        kernel.run(
            f"import atexit, time\natexit.register(lambda: (open({str(folder / 'ends')!r}, 'w'), time.sleep(600)))"
        )
        kernel.client.shutdown()
        wait_for((folder / "ends").exists)
        (folder / "ends").unlink()


@pytest.mark.parametrize("phase", PHASES)
def test_a_kernel_that_is_killed_takes_its_processes_along_and_no_other_kernel(
    small: Kernel, tmp_path: Path, phase: str
) -> None:
    for _strike in range(STRIKES):
        with kernel("small") as each:
            assert each.parent == small.parent
            family = [] if phase == "ending" else _family(each)  # ipykernel ends them itself, in its own time
            _in_phase(phase, each, tmp_path)
            strike(each.process.pid, signal.SIGKILL)
            wait_gone(*family)
            assert each.ended() == -signal.SIGKILL
            assert not each.manager.is_alive()
    assert small.run("print('lives')") == "lives\n"


def test_a_kernel_that_is_killed_while_it_comes_up_is_launched_instead(desk: Desk) -> None:
    for _strike in range(STRIKES):
        gate = desk.gate()
        with ThreadPoolExecutor(1) as threads:
            made = threads.submit(_prints, "own", "launched", {**os.environ, "GATE": str(gate)})
            strike(waiting(gate), signal.SIGKILL)
            (gate / "open").touch()
            assert made.result(40) == "there\n"


def test_a_parent_that_is_killed_takes_its_kernels_along_and_the_next_comes_of_another(
    desk: Desk, tmp_path: Path
) -> None:
    seen = set()
    for _strike in range(STRIKES):
        gate = desk.gate()
        with ExitStack() as stack:
            threads = stack.enter_context(ThreadPoolExecutor(1))
            each = [stack.enter_context(kernel("own")) for _phase in PHASES]
            family = [*_family(each[0]), *_family(each[1])]
            for phase, one in zip(PHASES, each, strict=True):
                _in_phase(phase, one, tmp_path)
            [parent] = {one.parent for one in each}
            made = threads.submit(_prints, "own", "forked", {**os.environ, "GATE": str(gate)})
            coming_up = waiting(gate)
            assert psutil.Process(coming_up).ppid() == parent
            strike(parent, signal.SIGKILL)
            wait_gone(coming_up)
            assert [one.ended() for one in each] == [-signal.SIGKILL] * len(PHASES)
            wait_gone(*family)
            (gate / "open").touch()
            assert made.result(40) == "there\n"
            seen.add(parent)
    assert len(seen) == STRIKES


def test_a_parent_that_hangs_is_replaced_and_ends_with_the_last_of_its_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with kernel("own") as before:
        hanging = before.parent
        monkeypatch.setattr(warm, "WARM_UP_SECONDS", 3.0)
        os.kill(hanging, signal.SIGSTOP)
        try:
            with kernel("own") as after:
                assert after.parent != hanging
        finally:
            os.kill(hanging, signal.SIGCONT)
        assert before.run("print('goes on')") == "goes on\n"
    wait_gone(hanging)


def _prints(name: str, how: str, environment: dict[str, str]) -> str:
    with kernel(name, how, env=environment) as each:
        return each.run("print('there')")


def test_a_parent_that_is_killed_while_it_warms_up_is_replaced(desk: Desk, mark: Marked) -> None:
    desk.module("slow", STARTUP.replace("GATE", "PYTHONWARNINGS"))
    desk.spec("slow", "slow")
    for _strike in range(STRIKES):
        gate = desk.gate()
        environment = {**mark.environment, "PYTHONWARNINGS": str(gate)}
        with ThreadPoolExecutor(1) as threads:
            made = threads.submit(_prints, "slow", "forked", environment)
            strike(waiting(gate), signal.SIGKILL)
            (gate / "open").touch()
            assert made.result(40) == "there\n"


WORKER = """
kernels.borrow(kernels.Address(*sys.argv[1:]))
managers = started(count=2)
say(pids=[manager.provisioner.pid for manager in managers])
time.sleep(600)
"""


def test_a_process_that_borrows_a_parent_takes_only_its_own_kernels_along(
    small: Kernel, mark: Marked
) -> None:
    address = kernels.lend(kernels.kind("small", os.environ))
    environment = {**os.environ, "TMPDIR": str(mark.temporary)}
    with owner(WORKER, address.key, address.path, environment=environment) as worker:
        pids = told(worker)["pids"]
        assert {psutil.Process(pid).ppid() for pid in pids} == {small.parent}
        os.kill(small.parent, signal.SIGSTOP)  # so that it learns of both deaths at once
        try:
            strike(pids[0], signal.SIGKILL)
            strike(worker.pid, signal.SIGKILL)
        finally:
            os.kill(small.parent, signal.SIGCONT)
        wait_gone(*pids)
    assert small.run("print('lives')") == "lives\n"
    with kernel("small") as each:
        assert each.parent == small.parent


FAMILIES = """
os.umask(0o027)
begin = '''
import os, subprocess
child = subprocess.Popen(["sleep", "600"])
with open("begun", "w") as file:
    print(oct(os.umask(0)), file=file)
'''
for manager in (managers := started(count=2, cwd=sys.argv[1])):
    client = manager.client()
    client.start_channels()
    client.execute(begin)
say(pids=[manager.provisioner.pid for manager in managers], folder=str(kernels.folder()))
time.sleep(600)
"""


def test_nothing_outlives_an_owner_that_is_killed(mark: Marked, tmp_path: Path) -> None:
    with owner(FAMILIES, str(tmp_path), environment=mark.environment) as process:
        said = told(process)
        wait_for(lambda: len(mark.processes()) == 1 + 1 + 2 + 2)  # owner, parent, kernels, their own
        wait_for(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text())
        assert (tmp_path / "begun").read_text() == "0o27\n"
        assert Path(said["folder"]).parent == mark.temporary
        strike(process.pid, signal.SIGKILL)
    assert mark.gone(), mark.left


def test_an_owner_that_ends_leaves_nothing_and_says_nothing(mark: Marked) -> None:
    command = (
        "from tests.kernels_desk import kernel\nwith kernel('own') as each:\n    print(each.run('print(1)'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", command],
        env=mark.environment, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("1\n\n", "", 0)
    assert mark.gone(), mark.left


FORKING = """
import threading
first, folder = started("own")[0], kernels.folder()
asking = {"name": "own", "env": {**os.environ, "GATE": sys.argv[1]}}
threading.Thread(target=started, kwargs=asking, daemon=True).start()
while not os.listdir(sys.argv[1]):
    time.sleep(0.02)
if not os.fork():
    sys.exit()
os.wait()
kept = folder.is_dir()
if not os.fork():
    own = started("own")[0]
    say(child=os.getpid(), pid=own.provisioner.pid, folder=str(kernels.folder()))
    time.sleep(600)
say(pid=first.provisioner.pid, kept=kept, folder=str(folder))
time.sleep(600)
"""


def test_a_fork_of_an_owner_owns_nothing_of_the_owner_s(desk: Desk, mark: Marked) -> None:
    with owner(FORKING, str(desk.gate()), environment=mark.environment) as process:
        child, first = sorted((told(process), told(process)), key=lambda said: "child" not in said)
        assert first["kept"]
        assert child["folder"] != first["folder"]
        parents = [psutil.Process(said["pid"]).ppid() for said in (first, child)]
        assert parents[0] != parents[1]
        strike(process.pid, signal.SIGKILL)
        wait_gone(first["pid"], parents[0])
        assert not is_gone(child["pid"])
        strike(child["child"], signal.SIGKILL)
    assert mark.gone(), mark.left


# Hosts


def _notebook(path: Path, *sources: str) -> Path:
    kernelspec = {"name": "small", "display_name": "small", "language": "python"}
    cells = [new_code_cell(source, id=f"cell-{n}") for n, source in enumerate((IS_FORKED, *sources))]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), path)
    return path


def test_papermill_forks_its_kernel(tmp_path: Path, mark: Marked) -> None:
    notebook = _notebook(tmp_path / "in.ipynb", "n = 1", "print(n + 1)")
    done = subprocess.run(
        [sys.executable, "-m", "papermill", notebook, tmp_path / "out.ipynb", "-k", "small", "-p", "n", "41"],
        env=mark.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nanobind" not in done.stderr
    made = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert [output.text for cell in made.cells for output in cell.outputs] == ["2\n"]
    assert mark.gone(), mark.left


def test_nbval_forks_its_kernel(tmp_path: Path, mark: Marked) -> None:
    _notebook(tmp_path / "checked.ipynb", "1 + 1")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "checked.ipynb"],
        env=mark.environment, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert mark.gone(), mark.left


class _Lab:
    """JupyterLab's server, asked as its pages ask."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        command = [
            "jupyter",
            "lab",
            "--no-browser",
            "--allow-root",
            f"--port={port}",
            "--IdentityProvider.token=t",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command, f"--ServerApp.root_dir={folder}"],
            env={**environment, "HOME": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return bool(self.ask("GET", "api/status"))
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A call of its REST interface."""
        request = urllib.request.Request(
            f"http://{self.address}/{path}", method=method, data=json.dumps(body).encode() if body else None,
            headers={"Authorization": "token t"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            read = answer.read()
        return json.loads(read) if read else None


async def _heard(channel: WebSocketClientConnection, kind: str) -> dict[str, Any]:
    """The next message of that kind."""
    async with asyncio.timeout(30):
        while True:
            message = await channel.read_message()
            assert message is not None
            if (heard := json.loads(message))["msg_type"] == kind:
                content: dict[str, Any] = heard["content"]
                return content


async def _execute(channel: WebSocketClientConnection, code: str) -> None:
    header = {"msg_id": os.urandom(4).hex(), "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"}  # fmt: skip
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
    }
    await channel.write_message(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}))  # fmt: skip


def test_jupyterlab_forks_interrupts_restarts_and_ends_its_kernel(tmp_path: Path, mark: Marked) -> None:
    lab = _Lab(tmp_path, mark.environment)

    async def session(post: Callable[..., Any]) -> None:
        made = post("POST", "api/kernels", {"name": "small"})["id"]
        channel = await websocket_connect(f"ws://{lab.address}/api/kernels/{made}/channels?token=t")
        try:
            await _execute(channel, f"{IS_FORKED}\nprint(os.getpid())")
            pid = int((await _heard(channel, "stream"))["text"])
            await _execute(channel, "print('begun')\nwhile True: pass")
            assert (await _heard(channel, "stream"))["text"] == "begun\n"
            await asyncio.to_thread(post, "POST", f"api/kernels/{made}/interrupt", {"now": 1})
            assert (await _heard(channel, "error"))["ename"] == "KeyboardInterrupt"
            await asyncio.to_thread(post, "POST", f"api/kernels/{made}/restart", {"now": 1})
        finally:
            channel.close()
        channel = await websocket_connect(f"ws://{lab.address}/api/kernels/{made}/channels?token=t")
        await _execute(channel, f"{IS_FORKED}\nprint(os.getpid())")
        again = int((await _heard(channel, "stream"))["text"])
        channel.close()
        assert again != pid
        assert is_gone(pid)
        assert {kernel.pid for kernel in mark.kernels()} >= {again}
        await asyncio.to_thread(post, "DELETE", f"api/kernels/{made}")
        wait_gone(again)

    try:
        asyncio.run(session(lab.ask))
    finally:
        lab.process.terminate()
        lab.process.wait(30)
    assert mark.gone(), mark.left
