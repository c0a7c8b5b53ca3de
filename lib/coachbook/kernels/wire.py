"""Messages over a Unix socket: a length, JSON, and open files beside it."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

_LENGTH_BYTES = 4
_PART_BYTES = 1 << 16


def send(to: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send one message, with descriptors of open files."""
    body = json.dumps(message).encode()
    message_bytes = len(body).to_bytes(_LENGTH_BYTES) + body
    sent = socket.send_fds(to, [message_bytes], list(files)) if files else 0
    to.sendall(message_bytes[sent:])


def receive(source: socket.socket, files: int = 0) -> tuple[dict[str, Any], list[int]]:
    """One message and the descriptors that came with it, at most `files`.

    Raises
    ------
    EOFError
        The other side is gone.
    """
    length, received, _flags, _address = socket.recv_fds(source, _LENGTH_BYTES, files)
    length += _exactly(source, _LENGTH_BYTES - len(length)) if length else b""
    if not length:
        raise EOFError
    message: dict[str, Any] = json.loads(_exactly(source, int.from_bytes(length)))
    return message, received


def _exactly(source: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = source.recv(min(count, _PART_BYTES))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
