# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One message to one receiver: TLS verified, a time limit for all of it, tried again where that can help.

No error told here holds the address's path, the routing key or the token: they are secrets.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError
from ..common.version import __version__
from .options import Webhook

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 20.0
# Of the answer only the beginning is of interest.
ANSWER_BYTES = 4096
AGAIN = (408, 425, 429)


@dataclass(frozen=True)
class Answer:
    status: int
    retry_after: float | None = None

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def final(self) -> bool:
        return not self.good and self.status < 500 and self.status not in AGAIN


def send(hook: Webhook, content: dict[str, Any], sleep: Callable[[float], None] = time.sleep) -> int:
    """Deliver, or tell in a sentence why not; returns the number of tries."""
    data = json.dumps(content, sort_keys=True).encode()
    end = time.monotonic() + hook.deadline
    problem = "its time was over before the first try"
    for attempt in range(1, hook.tries + 1):
        left = end - time.monotonic()
        if left <= 0:
            break
        wanted: float | None = None
        try:
            answer = _post(hook, data, min(hook.timeout, left))
        except (OSError, http.client.HTTPException) as error:
            problem = _reason(error)
            if isinstance(error, ssl.SSLCertVerificationError):
                raise _failure(hook, f"its certificate is not trusted ({problem})") from None
        else:
            if answer.good:
                return attempt
            problem, wanted = f"it answers HTTP {answer.status}", answer.retry_after
            if answer.final:
                raise _failure(hook, problem, of_message=True)
        pause = _pause(attempt, wanted)
        if attempt == hook.tries or time.monotonic() + pause >= end:
            problem += f", also at try {attempt}"
            break
        sleep(pause)
    raise _failure(hook, problem)


def _pause(attempt: int, wanted: float | None) -> float:
    """Longer each time and never the same, so that many hosts do not come back at one moment; what is asked for is
    kept."""
    spread: float = random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1)) * spread
    return max(pause, wanted or 0.0)


def _post(hook: Webhook, data: bytes, seconds: float) -> Answer:
    """One request. A server that sends a byte now and then keeps no one longer than the limit."""
    address = hook.address
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    host = str(address.hostname)
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        # With a CA of its own only that one is trusted.
        context = ssl.create_default_context(cafile=hook.ca_file or None)
        connection = http.client.HTTPSConnection(host, address.port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(host, address.port, timeout=seconds)
    headers = {"Content-Type": "application/json", "User-Agent": f"slipway/{__version__}"}
    if hook.token:
        headers["Authorization"] = f"Bearer {hook.token}"
    over = threading.Event()
    limit = threading.Timer(seconds, _cut, (connection, over))
    limit.daemon = True
    limit.start()
    try:
        connection.request("POST", target, data, headers)
        answer = connection.getresponse()
        answer.read(ANSWER_BYTES)
        return Answer(answer.status, _retry_after(answer.getheader("Retry-After") or ""))
    except (OSError, http.client.HTTPException):
        if over.is_set():
            raise TimeoutError from None
        raise
    finally:
        limit.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection, over: threading.Event) -> None:
    over.set()
    used = connection.sock
    if used is not None:
        with suppress(OSError):
            used.shutdown(socket.SHUT_RDWR)


def _retry_after(text: str) -> float | None:
    """Seconds, or a date."""
    if text.isdigit():
        return float(text)
    with suppress(TypeError, ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _reason(error: Exception) -> str:
    """In words that hold nothing of the request."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the connection broke ({type(error).__name__})"


def _failure(hook: Webhook, problem: str, *, of_message: bool = False) -> SlipwayError:
    """`of_message`: the receiver is there and refuses this one; another may be welcome."""
    return SlipwayError(
        f"An alarm could not be delivered to {hook.describe()}: {problem}.",
        hint="It is tried again with the next check. Correct backup_webhooks or health_webhooks, or look at "
        "the network and the receiver.",
        details={"of_message": of_message},
    )
