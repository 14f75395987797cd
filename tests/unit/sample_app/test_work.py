# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample application's worker, as a real process with a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app import stores, work

IMAGE = Path(__file__).parents[2] / "fixtures" / "sample_app" / "image"
RUNS = "SELECT count(*) FROM public.worker_runs WHERE ticks > 0"


@contextmanager
def worker(url: str, server: Any, database: str) -> Iterator[None]:
    """A worker that has ticked at least once."""
    table = "SELECT to_regclass('public.worker_runs') IS NOT NULL"
    before = server.query(RUNS, database)[0][0] if server.query(table, database)[0][0] else 0
    environment = {"PATH": os.environ["PATH"], "APP_ROLE": "worker", "RELEASE": "1.2.3", "DATABASE_URL": url}
    process = subprocess.Popen([sys.executable, "-m", "app", "work"], cwd=IMAGE, env=environment)
    try:
        deadline = time.monotonic() + 10
        while not (server.query(table, database)[0][0] and server.query(RUNS, database)[0][0] > before):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_two_workers_at_the_same_time_are_found(postgres: Any, database: str) -> None:
    params = postgres.params(database)
    url = "postgresql://{login_user}:{login_password}@{login_host}:{login_port}/{login_db}".format(**params)
    seen = stores.Database(url)
    with worker(url, postgres, database):
        pass
    with worker(url, postgres, database):
        assert work.overlaps(seen) == 0
        with worker(url, postgres, database):
            assert work.overlaps(seen) == 1
    assert work.overlaps(seen) == 1
