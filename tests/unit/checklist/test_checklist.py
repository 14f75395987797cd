# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tick or a reason for each line of a check list."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.slipway.vps.plugins.module_utils.backup import spec as backups
from ansible_collections.slipway.vps.plugins.module_utils.checklist import checks, engine
from ansible_collections.slipway.vps.plugins.module_utils.checklist.facts import Asked, Facts
from ansible_collections.slipway.vps.plugins.module_utils.checklist.lines import Verdict
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import record, state
from ansible_collections.slipway.vps.plugins.module_utils.release.host import Host
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import parse
from ansible_collections.slipway.vps.plugins.module_utils.release.store import Store

ROOT = Path(__file__).parents[3]
DONE = [{"name": name, "seconds": 1.25, "result": "done"} for name in ("pull", "start", "probe")]


class OnDisk(Facts):
    """A host of which only the files are there; they are real ones."""

    def __init__(self, asked: Asked, place: Path) -> None:
        super().__init__(asked)
        host = Host.__new__(Host)
        host.paths = StackPaths(asked.stack, stacks=place)
        host.store = Store(host.paths)
        self.__dict__["host"] = host


@pytest.fixture
def facts(tmp_path: Path) -> OnDisk:
    env = {"DB_HOST": 8, "PORT": 0}
    asked = Asked("shop", "1.0.1", env, {"DB_PASSWORD": 32, "API_KEY": 7}, phases=DONE, released=True)
    return OnDisk(asked, tmp_path)


def look(facts: Facts, check: str, **given: Any) -> Verdict:
    return checks.CHECKS[check].look(given, facts)


def release(facts: OnDisk, *names: str, contracts: tuple[int, ...] = ()) -> None:
    """Releases in this order; the last one serves."""
    store = facts.host.store
    store.prepare()
    for number, name in enumerate(names, 1):
        spec = parse({"stack": "shop", "domain": "shop.test", "compose": "services: {}", "release": name})
        made = record.make(number, spec, Model({}), {}, "mark", "now", "me", follows=number - 1 or None)
        store.write(made, {})
        store.mark_served(made)
    active = state.Active(len(names), "green", "mark") if names else None
    store.save(state.State("shop", active=active, contracts=contracts))


def test_somebody_has_confirmed_it_for_this_release(facts: Facts) -> None:
    assert look(facts, "confirmed", release="1.0.1") == Verdict(True, "confirmed for release 1.0.1")
    assert look(facts, "confirmed", release="1.0.0").seen == "it was confirmed for release 1.0.0, and this is 1.0.1"
    missing = look(facts, "confirmed", release="", how="-e reviewed=1.0.1")
    assert missing == Verdict(False, "nobody has confirmed it; -e reviewed=1.0.1")


def test_environment(facts: Facts) -> None:
    assert look(facts, "environment", names=["DB_HOST", "DB_PASSWORD"]).ticked
    for names, seen in ((["PORT", "NO_SUCH"], "without a value: PORT, NO_SUCH"), ([], "without a value: PORT;")):
        found = look(facts, "environment", names=names)
        assert not found.ticked and seen in found.seen


def test_secrets(facts: Facts) -> None:
    assert look(facts, "secrets") == Verdict(False, "shorter than 16 characters: API_KEY")
    assert look(facts, "secrets", min_length=7).ticked


def test_disk(facts: Facts, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / checks.GIB
    assert look(facts, "disk", path=str(tmp_path), free_gb=free + 1000).ticked is False
    enough = look(facts, "disk", path=str(tmp_path), free_gb=0.001)
    # A disk that is nearly full fails by its share, whatever is asked for.
    assert "GiB free" in enough.seen and enough.ticked == ("Find what grew" not in enough.seen)


def test_backup(facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "STATE_DIRECTORY", tmp_path)
    assert "there is no backup yet" in look(facts, "backup", max_age_hours=24).seen
    place = tmp_path / "shop" / "postgres"
    place.mkdir(parents=True)
    moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    (place / "last.json").write_text(json.dumps({"success": {"id": "one", "time": moment, "bytes": 2_000_000}}))
    assert look(facts, "backup", max_age_hours=24).ticked


def test_phases(facts: OnDisk) -> None:
    assert look(facts, "phases", names=["start", "probe"]) == Verdict(True, "start 1.2 s, probe 1.2 s")
    assert look(facts, "phases", names=["probe", "observe"]).seen == "the release did not get through observe"
    unchanged = OnDisk(Asked("shop", "1.0.1"), facts.host.paths.stacks)
    assert look(unchanged, "phases", names=["probe"]) == Verdict(True, "there was nothing to release")


def test_released(facts: OnDisk) -> None:
    release(facts, "1.0.0", "1.0.1")
    assert look(facts, "released") == Verdict(True, "release 1.0.1 (number 2) serves from slot green")
    other = OnDisk(Asked("shop", "1.0.2"), facts.host.paths.stacks)
    assert look(other, "released").seen == "release 1.0.1 (number 2) serves, and 1.0.2 was asked for"


def test_a_way_back(facts: OnDisk) -> None:
    release(facts, "1.0.0", "1.0.1")
    assert look(facts, "rollback").seen.startswith("release 1.0.0 (number 1) is kept")


def test_no_way_back(facts: OnDisk) -> None:
    release(facts, "1.0.1")
    assert look(facts, "rollback") == Verdict(False, "no release older than the one that serves is kept")


def test_a_way_back_that_is_closed(facts: OnDisk) -> None:
    release(facts, "1.0.0", "1.0.1", contracts=(2,))
    found = engine.go_through("after", [{"text": "Rollback plan", "check": "rollback"}], facts.asked)
    assert not found[0]["ticked"]
    with pytest.raises(SlipwayError, match="marked as contract"):
        look(facts, "rollback")


def test_lines_of_a_log() -> None:
    pattern = re.compile(r'"level": ?"(error|fatal)"')
    lines = ['{"level": "info"}', '{"level":"error", "message": "x"}']
    assert checks.matching(lines, pattern) == lines[1:]


def test_what_cannot_be_looked_at_has_a_reason_and_no_tick() -> None:
    """Nothing serves here: there is no such stack."""
    names = ["released", "up", "health", "logs", "response_times", "rollback", "connections"]
    lines = [{"text": name, "check": name} for name in names]
    found = engine.go_through("after", lines, Asked("no-such-stack-here", "1"))
    assert [one["ticked"] for one in found] == [False] * len(names)
    assert all(one["seen"] for one in found)
    assert [row[0] for row in engine.rows(found)] == [engine.CROSS] * len(names)


def test_only_what_is_required_stops() -> None:
    lines: list[dict[str, Any]] = [
        {"text": "Reviewed", "check": "confirmed", "required": True, "with": {"how": "-e reviewed=1"}},
        {"text": "Also", "check": "confirmed"},
        {"text": "Names", "check": "environment", "required": True},
    ]
    found = engine.go_through("before", lines, Asked("shop", "1"))
    assert [one["ticked"] for one in found] == [False, False, True]
    assert engine.stops(found) == ["Reviewed: nobody has confirmed it; -e reviewed=1."]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"check": "up"}, "has no text"),
        ({"text": "x", "check": "weather"}, "unknown check 'weather'.*backup, confirmed"),
        ({"text": "x", "check": "disk", "with": {"gb": 1}}, "no option 'gb'. It takes path, free_gb"),
        ({"text": "x", "check": "up", "with": {"all": 1}}, "no option 'all'. It takes none"),
        ({"text": "x", "check": "up", "when": "now"}, "unknown key 'when'"),
        ({"text": "x", "check": "up", "required": True}, "only a line before a release"),
    ],
)
def test_a_list_that_is_wrong_is_refused(line: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SlipwayError, match=sentence):
        engine.go_through("after", [line], Asked("shop", "1"))


def test_the_role_and_the_page_know_every_check() -> None:
    specification = yaml.safe_load((ROOT / "roles/stack/meta/argument_specs.yml").read_text(encoding="utf-8"))
    lists = specification["argument_specs"]["main"]["options"]["stack_checklist"]["options"]
    assert {tuple(entry["options"]["check"]["choices"]) for entry in lists.values()} == {tuple(sorted(checks.CHECKS))}
    page = (ROOT / "docs/checklists.md").read_text(encoding="utf-8")
    for name, check in checks.CHECKS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` "))
        assert all(f"`{option}`" in row for option in check.options)
