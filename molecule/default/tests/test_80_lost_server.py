# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server dies while customers write, and a bare one becomes it again from the inventory and the bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from slipway_lab import ROOT, Web, connect, run_playbook

SHOP = "alpha.shop.test"
LIMIT_LOST_SECONDS = 15
LIMIT_BACK_SECONDS = 600
SERVED = "slipway release list shop --json"
PSQL = "docker exec shop-data-postgres-1 psql --username shop --dbname shop --no-align --tuples-only --command"
# With its index about a gigabyte.
GIGABYTE = """CREATE TABLE ballast (id bigint PRIMARY KEY, note text NOT NULL);
INSERT INTO ballast SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, 8500000) i;
SELECT pg_size_pretty(pg_database_size(current_database()))"""
BALLAST = "SELECT count(*), sum(hashtextextended(note, 0)::numeric) FROM ballast"


class Writer(threading.Thread):
    """A customer who writes all the time and remembers what was confirmed, and when."""

    def __init__(self, web: Web) -> None:
        super().__init__(daemon=True)
        self._web = web
        self._over = threading.Event()
        self.confirmed: list[tuple[str, float]] = []

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            name = f"written-{number}"
            try:
                answer = self._web.ask(SHOP, "/products", method="POST", body={"name": name, "price_cents": 1})
            except OSError:
                continue
            if answer.status == 201:
                self.confirmed.append((name, time.time()))

    def stop(self) -> None:
        self._over.set()
        self.join(60)


@pytest.fixture(scope="module")
def wishes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A place of its own in the bucket, a key that is not on the server, and the log shipped."""
    place = tmp_path_factory.mktemp("lost")
    key = place / "key.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    public = key.read_text().partition("public key: ")[2].split()[0]
    settings = {
        "backup_wal_enabled": True,
        "backup_age_recipients": [public],
        "backup_s3_prefix": f"lost-{time.time_ns()}",
        "backup_goal_rto": f"{LIMIT_BACK_SECONDS // 60}min",
        "backup_goal_rpo": f"{LIMIT_LOST_SECONDS}s",
    }
    (place / "wishes.json").write_text(json.dumps(settings))
    yield ["--extra-vars", f"@{place / 'wishes.json'}", "--extra-vars", f"recover_age_identity={key}"]


def fingerprint(vps: Any) -> str:
    return str(
        vps.check_output("openssl x509 -noout -fingerprint -sha256 -in /etc/letsencrypt/live/shop/fullchain.pem")
    )


def serving(vps: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vps.check_output(SERVED))[0]
    return found


@pytest.fixture(scope="module")
def ballast(vps: Any) -> str:
    """The long form loses a database of a gigabyte."""
    if not os.environ.get("SLIPWAY_LONG"):
        return ""
    vps.check_output(f'{PSQL} "{GIGABYTE}"')
    return str(vps.check_output(f'{PSQL} "{BALLAST}"'))


def test_a_lost_server_comes_back(
    vps: Any, web: Web, playbook: Any, wishes: list[str], ballast: str, capsys: pytest.CaptureFixture[str]
) -> None:
    playbook("site", "--tags", "backup", *wishes)
    assert web.ask(SHOP, "/uploads/kept", method="PUT", body=b"an upload").status == 201
    vps.check_output("docker exec shop-data-redis-1 redis-cli set slipway-test kept")
    # A release of its own: what it is made of has to be in the bucket although no timer has fired.
    playbook("deploy", "--extra-vars", "stack_release=1.0.1", *wishes)
    for kind in ("files", "redis"):
        vps.check_output(f"slipway backup run shop --kind {kind}")
    before, certificate = serving(vps), fingerprint(vps)
    writer = Writer(web)
    writer.start()
    time.sleep(20)
    subprocess.run(["docker", "kill", "--signal=KILL", "slipway-lab-shop1"], check=True, capture_output=True)
    lost_at = time.time()
    writer.stop()
    assert len(writer.confirmed) > 100

    lab = [sys.executable, str(ROOT / "molecule" / "lab" / "lab.py"), "up", "--hosts", "shop1", "--fresh"]
    # A bare server once more is for the long form; the scenario began with one.
    lab += [] if os.environ.get("SLIPWAY_LONG") else ["--furnished"]
    subprocess.run(lab, check=True, capture_output=True, cwd=ROOT)
    bare = connect("shop1")
    assert not any(bare.file(path).exists for path in ("/srv/shop", "/etc/slipway", "/etc/letsencrypt/live"))
    lost = datetime.fromtimestamp(lost_at, timezone.utc).isoformat()
    began = time.time()
    play = playbook("recover", *wishes, "--extra-vars", f"recover_lost_at={lost}")
    assert time.time() - began < LIMIT_BACK_SECONDS
    assert "RTO: it served again after" in play.output and "RPO: everything committed before" in play.output
    told = " ".join(play.output.split())
    assert "The goal of 10 min is met." in told and "The goal of 15 s is met." in told
    with capsys.disabled():
        print("\n" + "\n".join(line for line in play.output.splitlines() if line.strip().startswith(("RTO:", "RPO:"))))

    names = {product["name"] for product in web.ask(SHOP, "/products").json()["products"]}
    back = [(name, when) for name, when in writer.confirmed if name in names]
    assert back == writer.confirmed[: len(back)], "there is a hole in what came back"
    assert lost_at - back[-1][1] < LIMIT_LOST_SECONDS
    after = serving(bare)
    assert (after["release"], after["name"], after["images"]) == (before["release"], "1.0.1", before["images"])
    assert web.ask("api.shop.test", "/version").json()["release"] == "1.0.1"
    assert fingerprint(bare) == certificate
    assert web.ask(SHOP, "/uploads/kept").body == b"an upload"
    assert bare.check_output("docker exec shop-data-redis-1 redis-cli get slipway-test") == "kept"
    if ballast:
        assert bare.check_output(f'{PSQL} "{BALLAST}"') == ballast
    assert not bare.file("/srv/shop/maintenance").exists
    assert bare.check_output("ls /run").find("slipway-recover") < 0


@pytest.mark.long
def test_a_second_recovery_changes_nothing(playbook: Any, wishes: list[str]) -> None:
    assert set(playbook("recover", *wishes).changed.values()) == {0}


@pytest.mark.long
def test_a_living_server_is_refused(vps: Any, wishes: list[str]) -> None:
    connect("shop1").check_output("rm /var/lib/slipway/recover/shop.json")
    play = run_playbook("recover", *wishes)
    assert play.code != 0
    assert "a recovery is for a bare one" in " ".join(play.output.split())
