# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the visitors beside a test and hear from them at its end."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from .report import Report, Window
from .settings import Settings

PACKAGES = Path(__file__).resolve().parents[1]
ROOT = PACKAGES.parents[1]
START_SECONDS = 30
END_SECONDS = 60


class LoadError(Exception):
    """The visitors themselves failed, so nothing was measured."""


class Server(Protocol):
    """Where they go."""

    address: str
    zone: str


class Load:
    """with Load(server, rate=200, websockets=5, slow=1) as load: ...  and then load.report."""

    def __init__(self, server: Server, *, alone: bool = False, **settings: Any) -> None:
        given = {"address": server.address, "zone": server.zone, "ca": str(ROOT / ".cache/lab/acme-root.pem")}
        self.settings = Settings(**{**given, **settings})
        self.alone = alone
        self.windows: list[Window] = []
        self._report: Report | None = None

    def __enter__(self) -> Load:
        self._turn = (Path(tempfile.gettempdir()) / "slipway-load.lock").open("w")
        if self.alone:
            # Two whose latencies count would measure each other. Of the others nothing may be lost, however slow.
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        self._folder = tempfile.TemporaryDirectory(prefix="slipway-load-")
        self._out = Path(self._folder.name) / "report.json"
        # A process of its own, so that the test's own work does not delay a request.
        self._errors = (Path(self._folder.name) / "stderr").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "slipway_load", "--settings", "-", "--out", str(self._out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(self.settings)) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "ready":
            self._fail()
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self._process.communicate(timeout=END_SECONDS)
            if self._process.returncode != 0:
                self._fail()
            self._report = Report.read(self._out)
            self._report.windows = self.windows
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._errors.close()
            self._folder.cleanup()
            self._turn.close()

    def _fail(self) -> None:
        self._process.kill()
        self._process.wait()
        self._turn.close()
        self._errors.seek(0)
        raise LoadError(f"The load client ended with status {self._process.returncode}: {self._errors.read()[-2000:]}")

    @property
    def report(self) -> Report:
        if self._report is None:
            raise LoadError("The report is there when the load has ended.")
        return self._report

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A stretch of time whose latencies are looked at by themselves."""
        start = time.time()
        try:
            yield
        finally:
            self.windows.append(Window(name, start, time.time()))
