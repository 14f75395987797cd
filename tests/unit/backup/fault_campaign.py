# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One fault after another in everything that talks to the bucket, and after each the question whether anybody lied.

What has to hold: whatever is listed as a good backup restores with equal content; whatever failed said so in a sentence
with a next step; and after the next good run nothing is left of the failed ones.
"""

from __future__ import annotations

import collections
import hashlib
import json
import random
import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.slipway.vps.plugins.module_utils.backup import (
    catalog,
    engine,
    manifest,
    record,
    restoration,
    restore,
    restore_kind,
    verify,
)
from ansible_collections.slipway.vps.plugins.module_utils.backup.retention import Policy
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter

from .fault_proxy import FAULTS

# At least so many requests each work has; a fault at a later one would hit nothing.
REQUESTS = {"backup": 14, "list": 3, "verify": 5, "restore": 5, "retain": 20}
FOREVER = 10_000
# One in so many faults does not pass by itself.
LASTING = 4
KEPT = 4


class Campaign:
    """`direct` talks to the server, `broken` through the proxy; `work` changes the source before each backup."""

    def __init__(self, spec, s3, proxy, seed, change, restored):
        self.direct = spec
        self.s3 = s3
        self.proxy = proxy
        self.seed = seed
        self.chance = random.Random(seed)  # noqa: S311 - a seed, so that a round can be had again
        self.change = change
        self.restored = restored
        options = replace(spec.s3, endpoint=proxy.endpoint, retries=3, connect_timeout=2.0, read_timeout=1.0)
        self.broken = replace(spec, s3=options)
        self.content = {}
        self.said = collections.Counter()
        self.hits = 0
        self.failures = 0
        self.survived = 0
        self.backups = 0

    def run(self, faults):
        self._good_run()
        while self.hits < faults:
            work = self.chance.choice(list(REQUESTS))
            kind = self.chance.choice(FAULTS)
            count = FOREVER if self.chance.randrange(LASTING) == 0 else 1
            self.round(work, kind, self.chance.randrange(REQUESTS[work]), count)
        self._good_run()

    def round(self, work, kind, after, count):
        story = (self.seed, work, kind, after, count)
        before = {one.id for one in self._listed()}
        source = self.change() if work in ("backup", "retain") else None
        if work == "retain":
            self._age_all()
            before = {one.id for one in self._listed()}
        self.proxy.arm(kind, after, count)
        failed = None
        try:
            result = getattr(self, f"_{work}")()
        except SlipwayError as error:
            failed, result = error, None
        hits = self.proxy.disarm()
        self.hits += 1 if hits else 0
        if failed:
            assert failed.message.endswith(".") and failed.hint, (story, str(failed))
            assert hits, (story, f"failed without a fault: {failed}")
            self.failures += 1
        elif hits:
            self.survived += 1
        self.said[work, kind] += 1 if hits else 0
        self._look(story, work, before, source, result, failed)

    # The works; each through the proxy

    def _backup(self):
        return engine.run(self.broken, Emitter.null())

    def _retain(self):
        """A good backup after which old ones go."""
        return engine.run(replace(self.broken, keep_s3=Policy(days=1)), Emitter.null())

    def _list(self):
        return catalog.entries(stores(self.broken))

    def _verify(self):
        result = verify.verify(self.broken, catalog.LATEST, Emitter.null())
        record.verified(self.broken, result["id"])
        return result

    def _restore(self):
        return self.restored(self.broken, catalog.LATEST)

    # The oracle; never through the proxy

    def _listed(self):
        return catalog.entries(stores(self.direct))

    def _look(self, story, work, before, source, result, failed):
        now = {one.id: one for one in self._listed()}
        new = set(now) - before
        if work in ("backup", "retain"):
            assert len(new) <= 1, story
            for identity in new:
                self.content[identity] = source
            if failed is None:
                assert {result["backup"]["id"]} == new, story
            else:
                assert record.last(self.direct)["failing"]["backup"]["message"] == str(failed), story
        else:
            assert set(now) == before, (story, "a reading work changed what is there")
        if work == "retain" and failed is None:
            gone = {name.split("/")[1] for name in result["deleted"]}
            # One that could not be deleted is told; nothing else goes.
            assert before - set(now) <= gone | set(record.unfinished(self.direct)), story
            assert gone & set(now) == set(), story
        else:
            assert before <= set(now), (story, "a backup is lost")
        if work == "list" and failed is None:
            assert [one.id for one in result] == sorted(now), story
            assert all(one.complete for one in result), story
        if work == "restore" and failed is None:
            assert result == self.content[max(now)], (story, "restored something else")
        for one in now.values():
            assert one.complete, (story, one.id, "is listed and not complete")
        for identity in new:
            assert self.restored(self.direct, identity) == source, (story, "what is listed is not what was backed up")
        if failed is None and work in ("backup", "retain"):
            self._nothing_left(story, result)
        if failed is not None or len(now) > KEPT:
            self._good_run()

    def _good_run(self):
        source = self.change()
        made = engine.run(self.direct, Emitter.null())
        self.backups += 1
        self.content[made["backup"]["id"]] = source
        verify.verify(self.direct, made["backup"]["id"], Emitter.null())
        self._nothing_left(("good run", self.seed), made)
        assert record.last(self.direct).get("failing", {}).get("backup") is None
        self._thin_out(keep=made["backup"]["id"])

    def _nothing_left(self, story, made):
        # What a fault kept from being removed is told as a warning, and noted for the next run.
        noted = set(record.unfinished(self.direct))
        warned = [one for one in made["warnings"] if "was not removed" in one or "was not deleted" in one]
        if noted or warned:
            assert warned, (story, noted, "left something and said nothing")
            return
        assert self.s3.uploads(self._prefix()) == [], (story, "an upload is left")
        listed = {one.id for one in self._listed()}
        assert self._ids() == listed, (story, "objects without a manifest are left")

    def _prefix(self):
        return f"{self.direct.s3.prefix}/{self.direct.stack}/{self.direct.kind}/"

    def _ids(self):
        return {key.removeprefix(self._prefix()).split("/")[0] for key in self.s3.keys(self._prefix())}

    def _thin_out(self, keep):
        [store] = [one for one in stores(self.direct) if one.name == "s3"]
        for one in self._listed():
            if one.id != keep and len(self._listed()) > 2:
                store.delete(one.id)

    def _age_all(self):
        """Put every backup into the past, as if it had been made then: the next retention may delete them."""
        client = self.s3.client()
        bucket = self.direct.s3.bucket
        listed = self._listed()
        for number, one in enumerate(listed):
            age = timedelta(days=10 + len(listed) - number)
            then = datetime.now(timezone.utc) - age
            old = f"{then.strftime(manifest.STAMP)}-{one.id[-6:]}"
            for key in self.s3.keys(f"{self._prefix()}{one.id}/"):
                body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
                if key.endswith("/" + manifest.NAME):
                    body = json.dumps({**json.loads(body), "id": old, "snapshot_time": manifest.moment(then)}).encode()
                client.put_object(Bucket=bucket, Key=key.replace(one.id, old), Body=body)
                client.delete_object(Bucket=bucket, Key=key)
            mark = json.dumps({"time": manifest.moment(then)}).encode()
            client.put_object(Bucket=bucket, Key=f"{self._prefix()}{old}/{manifest.VERIFIED}", Body=mark)
            self.content[old] = self.content.pop(one.id)

    def report(self):
        works = collections.Counter()
        kinds = collections.Counter()
        for (work, kind), count in self.said.items():
            works[work] += count
            kinds[kind] += count
        return (
            f"seed {self.seed}: {self.hits} faults ({self.proxy.requests} requests, {len(self.proxy.broken)} broken), "
            f"{self.survived} works went well all the same, {self.failures} failed with a sentence, "
            f"{self.backups} good runs between; {dict(works)}; {dict(kinds)}"
        )


def of_files(kept, s3, proxy, seed, size):
    """Uploads of more than one part, cheap to make and to compare."""
    chance = random.Random(seed)  # noqa: S311 - test data
    path = kept.uploads / "data"

    def change():
        path.write_bytes(chance.randbytes(size))
        return digest(path)

    def restored(spec, identity):
        place = Path(kept.uploads).parent / "restored"
        shutil.rmtree(place, ignore_errors=True)
        request = restoration.Request(id=identity, directory=str(place), contents=("folder-uploads",))
        restore_kind.run(spec, request, Emitter.null())
        return digest(next(place.rglob("data")))

    return Campaign(kept.spec, s3, proxy, seed, change, restored)


def of_database(shop, s3, proxy, seed):
    """A database whose rows change before each backup."""
    chance = random.Random(seed)  # noqa: S311 - test data

    def change():
        shop.query(f"INSERT INTO orders (note) VALUES ('{chance.random()}')")  # noqa: S608 - our own number
        return rows(shop, shop.name)

    def restored(spec, identity):
        result = restore.run(spec, restore.Request(id=identity), Emitter.null())["restore"]
        try:
            return rows(shop, result["database"])
        finally:
            shop.query(f'DROP DATABASE "{result["database"]}"', "postgres")

    return Campaign(shop.spec, s3, proxy, seed, change, restored)


def rows(shop, database):
    return shop.query("SELECT md5(string_agg(o::text, '|' ORDER BY id)) FROM orders o", database)[0][0]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
