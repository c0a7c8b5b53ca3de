"""A notebook of everything a kernel can say, and what of it may differ between two runs: ids, times, addresses."""

from __future__ import annotations

import json
import re
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

CELLS = (
    'name = "王小明"\nprint(name, "é", "\\u200b|")\n{"b": [1, 2.5], "a": name}',
    "import sys\nfor n in range(3):\n    print('out', n)\n    print('err', n, file=sys.stderr)\n'last'",
    "sys.stdout.write('no newline')\nsys.stderr.write('nor here')\nsys.stdout.flush()\nNone",
    "print('x' * 99 + '\\n', end='', flush=False)\nfor n in range(20_000):\n    print(n, 'a line of a large stream')",
    "handle = display('first', display_id=True)\nother = display('second', display_id='mine')\nhandle.update('updated')",
    "from IPython.display import update_display\nupdate_display({'now': 'from a later cell'}, display_id='mine')",
    "from IPython.display import clear_output\nprint('gone')\nclear_output(wait=True)\nprint('kept')",
    "%%capture held\nprint('held back')\nprint('too', file=sys.stderr)\ndisplay(1)\n2",
    "print(repr(held.stdout), repr(held.stderr), len(held.outputs))\nheld()",
    "%%capture\nprint('lost')\n1 / 0",
    "print('before')\ninput('name? ')",
    "from getpass import getpass\ngetpass()",
    "import asyncio\nawait asyncio.sleep(0.01)\nawait asyncio.sleep(0, 'awaited')",
    "async def step(n):\n    await asyncio.sleep(n / 50)\n    print('step', n)\n    return n\nawait asyncio.gather(*map(step, (3, 1, 2)))",
    "asyncio.get_running_loop().is_running(), __name__, sys.argv[0].rpartition('/')[2], sys.path, list(sys.flags)",
    "print('\\x1b[31mred\\x1b[0m \\x1b[1;38;5;28mbold\\x1b[0m\\rback\\b!\\x07')\nsys.stderr.write('\\x1b[4mline\\x1b[0m\\n')",
    "from IPython.display import HTML, JSON, Image, Latex, Markdown, SVG\ndisplay(HTML('<b>b</b>'), Markdown('*m*'), Latex('$x$'), JSON({'a': [1]}), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))\nImage(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(64), format='png', width=7)",
    "class Rich:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n        return {'text/plain': 'rich', 'application/x-own+json': {'deep': [1, None]}}, {'application/x-own+json': {'kept': True}}\ndisplay(Rich(), metadata={'more': 1})\nRich()",
    "class Broken:\n    def __repr__(self):\n        raise ValueError('no repr')\nBroken()",
    "import ipywidgets as w\nslider = w.IntSlider(value=3, max=9, description=name)\nlabel = w.Label()\nslider.observe(lambda change: setattr(label, 'value', f'{change.old} to {change.new}'), 'value')\nw.VBox([slider, label])",
    "slider.value = 7\nlabel.value",
    "out = w.Output()\nout.append_stdout('into a widget')\nout.append_display_data(HTML('<i>there</i>'))\nw.jslink((slider, 'value'), (w.IntText(), 'value'))\nout",
    "try:\n    {}['key']\nexcept KeyError as missing:\n    raise RuntimeError('outer') from missing",
    "def deep(n):\n    try:\n        return 1 / n\n    finally:\n        [][n]\ndeep(0)",
    "raise ExceptionGroup('several', [ValueError(1), ExceptionGroup('inner', [TypeError('two')])])",
    "import inspect\nlen(inspect.stack())",
    "if True print('never')",
    "import builtins\nbuiltins.undefined_name",
    "import threading\ndef work(n):\n    for k in range(3):\n        print('thread', n, k)\nfor n in range(3):\n    thread = threading.Thread(target=work, args=(n,))\n    thread.start()\n    thread.join()\nsorted(type(thread).__name__ for thread in threading.enumerate())",
    "def fails():\n    raise ValueError('in a thread')\nthread = threading.Thread(target=fails, name='failing')\nthread.start()\nthread.join()",
    "import atexit\natexit.register(print, 'at the end')\nNone",
    "!echo from a shell; echo and its error >&2; exit 3\n_exit_code",
    "%%bash\necho \"bash $((1 + 1))\"\nread line || echo no input\nexit 4",
    "import subprocess, time\nprint(subprocess.run(['cat'], capture_output=True, text=True), flush=True)\nsubprocess.run(['sh', '-c', 'echo straight to the descriptor'], check=True)\ntime.sleep(0.3)",
    "import os\nprint('before', flush=True)\nif not (pid := os.fork()):\n    os._exit(5)\nos.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])",
    "import multiprocessing\ndef square(n):\n    return n * n\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n    print(pool.map(square, range(5)))",
    "import warnings\nwarnings.warn('a user is warned')\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('loop', ResourceWarning)",
    "import logging\nlogging.warning('root warns')\nlogging.getLogger('own').info('silent')\nlogging.getLogger().handlers",
    "import numpy as np, pandas as pd\nprint(np.linspace(0, 1, 4), np.get_printoptions()['precision'])\npd.DataFrame({'a': [1, None], 'b': ['x', name]})",
    "import decimal, locale, random, signal\nrandom.seed(1)\nnp.random.seed(1)\nrandom.random(), np.random.random(), decimal.getcontext().prec, locale.getlocale(), signal.getsignal(signal.SIGTERM)",
    "_i, In[1], len(Out), _, get_ipython().history_manager.hist_file",
    "%who str\n%precision 3\n3.14159",
    "%%writefile note.txt\nwritten",
    "%run note.txt\n%pycat note.txt",
    "print?",
    "%no_such_magic",
    "del sys.modules['json']\nimport json\njson.dumps(sorted(os.environ))",
    "exit",
    "raise SystemExit(3)",
    "sys.stdout.isatty(), sys.stdout.encoding, sys.stdin.__class__.__name__, os.read(0, 9), os.getcwd() == os.path.realpath('.')",
    "class Quiet(Exception):\n    def _render_traceback_(self):\n        return ['own', 'rendering']\nraise Quiet",
    "print('still here', file=sys.__stdout__, flush=True)\ntime.sleep(0.3)",
)  # fmt: skip

HISTORY = "--HistoryManager.hist_file=:memory:"
"""nbclient asks for it where a kernel is named python3, and only there."""
_VARYING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"), "id"),
    (re.compile(r"0x[0-9a-f]{6,}"), "address"),
    (re.compile(r"ipykernel_\d+/\d+"), "source"),
    (re.compile(r"(?<=Task-)\d+|(?<=Thread-)\d+"), "number"),
)


def notebook() -> NotebookNode:
    """Its cells, none of them run.

    No `Output` widget captures what a cell prints: nbclient then sends while it reads, and now and then misses the
    reply of any kernel.
    """
    cells = [new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(CELLS)]
    made: NotebookNode = new_notebook(cells=cells)
    return made


async def executed(manager: AsyncKernelManager, folder: str) -> NotebookNode:
    """The notebook as a kernel of that manager leaves it, ended gracefully."""
    made = notebook()
    client = NotebookClient(
        made, km=manager, timeout=60, allow_errors=True, resources={"metadata": {"path": folder}},
        record_timing=False, shutdown_kernel="graceful", ipython_hist_file="", extra_arguments=[HISTORY],
    )  # fmt: skip
    await client.async_execute()
    return made


def plain(notebook: NotebookNode, folder: str) -> dict[str, Any]:
    """All that it holds, with every varying part named by its kind and by the order in which it is met."""
    seen: dict[str, str] = {}
    text = json.dumps(notebook).replace(folder, "FOLDER")
    for pattern, kind in _VARYING:
        text = pattern.sub(lambda found, kind=kind: seen.setdefault(found[0], f"{kind}-{len(seen)}"), text)  # type: ignore[misc]
    plain: dict[str, Any] = json.loads(text)
    for cell in plain["cells"]:
        cell["outputs"] = _joined(cell["outputs"])
    return plain


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the parts of a stream as one: where a kernel cuts it is a matter of time."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] += output["text"]
        else:
            joined.append(output)
    return joined
