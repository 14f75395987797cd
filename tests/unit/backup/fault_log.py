# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults while the log of a database is shipped: what the shipper says is in the bucket has to be there."""

from __future__ import annotations

import collections
import random
import time
from dataclasses import replace

from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import shipper as wal_shipper

from .fault_proxy import FAULTS
from .wal_server import ask, docker, moment, restored

FOREVER = 10_000
LASTING = 4
TURNS = 3


class LogCampaign:
    """Rows are committed between the rounds; each knows when its commit was confirmed."""

    def __init__(self, stack, proxy, seed):
        self.stack = stack
        self.proxy = proxy
        self.seed = seed
        self.chance = random.Random(seed)  # noqa: S311 - a seed, so that a round can be had again
        self.direct = stack.spec
        self.committed = []
        self.said = collections.Counter()
        self.shipper = None
        self.hits = 0
        self.told = 0

    def run(self, faults):
        self.stack.database.query("CREATE TABLE load (id int, note text)")
        self.shipper = self.stack.shipper()
        self._turn_until(lambda status: not status.failure and status.slot.get("active"))
        self.stack.base()
        self.shipper.close()
        self.stack.but(s3=replace(self.direct.s3, endpoint=self.proxy.endpoint))
        self.shipper = self.stack.shipper()
        self._turn_until(lambda status: status.covered and not status.failure)
        while self.hits < faults:
            self.round(self.chance.choice(FAULTS), self.chance.randrange(3), self.chance.randrange(LASTING) == 0)
        # Dies in the middle of its work: what it has said so far has to be true.
        self._write()
        self.proxy.arm(self.chance.choice(FAULTS), 1, FOREVER)
        self.shipper.turn()
        self.proxy.disarm()
        covered = self.shipper.status.covered
        self.shipper.close()
        self.stack.but(s3=self.direct.s3)
        self._compare([number for number, when in self.committed if when <= moment(covered)])
        self.shipper = self.stack.shipper()
        now = time.time()
        self._turn_until(lambda status: status.covered and moment(status.covered) > now)
        self.shipper.close()
        self._compare([number for number, _when in self.committed])

    def round(self, kind, after, lasting):
        self._write()
        self.proxy.arm(kind, after, FOREVER if lasting else 1)
        shipper = self.shipper
        failed = False
        for _turn in range(TURNS):
            before = shipper.status.covered
            broken = len(self.proxy.broken)
            shipper.turn()
            told = shipper.status.failure
            failed = failed or bool(told)
            if told:
                assert told.endswith("."), (self.seed, kind, told)
            assert moment(shipper.status.covered) >= moment(before), (self.seed, kind, "it takes back what it said")
            if lasting and len(self.proxy.broken) > broken and kind not in ("answer_lost", "answer_late"):
                assert told, (self.seed, kind, "nothing arrives, and it says nothing")
        hit = self.proxy.disarm()
        self.hits += 1 if hit else 0
        self.told += 1 if hit and failed else 0
        self.said[kind] += 1 if hit else 0

    def _write(self):
        number = len(self.committed)
        self.stack.database.query(
            f"INSERT INTO load SELECT {number}, repeat(md5(i::text), 30) FROM generate_series(1, 500) i"  # noqa: S608 - our own number
        )
        self.committed.append((number, time.time()))
        if self.chance.randrange(2):
            self.stack.database.query("SELECT pg_switch_wal()")
        time.sleep(0.05)

    def _turn_until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while True:
            self.shipper.turn()
            if condition(self.shipper.status):
                return
            assert time.monotonic() < end, self.shipper.status
            time.sleep(0.3)

    def _compare(self, numbers):
        """Restored from the bucket alone, with answers that break off: every row that has to be there is."""
        self.stack.but(s3=replace(self.direct.s3, endpoint=self.proxy.endpoint, retries=3))
        self.proxy.arm(self.chance.choice(("cut_answer", "reset_answer")), after=1, count=2, words="GET /wal/ .zst")
        result = restored(self.stack)
        assert self.proxy.disarm() == 2, (self.seed, "no answer of the log broke off")
        self.stack.but(s3=self.direct.s3)
        try:
            found = {int(one) for one in ask(result, "SELECT DISTINCT id FROM load").split()}
            assert set(numbers) <= found, (self.seed, sorted(set(numbers) - found), "is lost")
            assert ask(result, "SELECT count(*) = 500 * count(DISTINCT id) FROM load") == "t"
        finally:
            docker("rm", "--force", "--volumes", result["container"])

    def report(self):
        seen = f"{self.proxy.requests} requests, {len(self.proxy.broken)} broken"
        return (
            f"log, seed {self.seed}: {self.hits} faults ({seen}), {self.told} of them told by the status, "
            f"{len(self.committed)} commits, none lost; {dict(self.said)}"
        )


def of_log(stack, proxy, seed, monkeypatch):
    monkeypatch.setattr(wal_shipper, "BASE_LOOK_SECONDS", 0.0)
    return LogCampaign(stack, proxy, seed)
