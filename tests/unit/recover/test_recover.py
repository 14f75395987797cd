# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovery decides, writes down and refuses. That it brings a server back is scenario `default`."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.recover import data, journal, state, survey
from ansible_collections.slipway.vps.plugins.module_utils.recover.journal import Journal
from ansible_collections.slipway.vps.plugins.module_utils.recover.survey import Choice
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths

EARLY, LATE = "2026-11-21T12:00:00Z", "2026-11-21T12:00:05.250000+00:00"


@pytest.fixture
def bucket(monkeypatch):
    """What is found by kind: a Choice, None (there is no such backup), or an error."""
    found = {}

    def answer(kind):
        one = found.get(kind)
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr(survey.specs, "kinds", lambda stack: sorted(found))
    monkeypatch.setattr(survey, "_spec", lambda stack, kind, identity_file: SimpleNamespace(kind=kind))
    monkeypatch.setattr(survey, "_newest", lambda spec, identity, time: answer(spec.kind))
    monkeypatch.setattr(survey, "_log", lambda spec, identity, time: answer(spec.kind))
    return found


def dump(until=EARLY):
    return Choice("postgres", "dump-1", until, 10)


def log(until=LATE):
    return Choice("base", "base-1", until, 20)


def test_the_log_comes_back_if_it_reaches_further(bucket):
    bucket.update(postgres=dump(), base=log(), redis=Choice("redis", "redis-1", EARLY, 1))
    found = survey.survey("shop")
    assert {kind: one.id for kind, one in found.choices.items()} == {"base": "base-1", "redis": "redis-1"}
    assert found.bytes == 21
    assert found.missing == []


def test_a_dump_that_is_newer_than_the_log_comes_back_and_that_is_told(bucket):
    bucket.update(postgres=dump("2026-11-21T13:00:00Z"), base=log())
    found = survey.survey("shop")
    assert set(found.choices) == {"postgres"}
    assert f"it reaches {LATE}, and dump dump-1 is of 2026-11-21T13:00:00Z" in found.missing[0]


def test_a_log_that_cannot_be_followed_is_told_and_the_dump_comes_back(bucket):
    bucket.update(postgres=dump(), base=SlipwayError("Segment 7 is missing."))
    found = survey.survey("shop")
    assert set(found.choices) == {"postgres"}
    assert found.missing == ["The log is not used: Segment 7 is missing."]


def test_without_a_dump_a_broken_log_is_an_error(bucket):
    bucket.update(postgres=None, base=SlipwayError("Segment 7 is missing."))
    with pytest.raises(SlipwayError, match="Segment 7"):
        survey.survey("shop")


def test_without_any_database_there_is_nothing_to_recover(bucket):
    bucket.update(postgres=None)
    with pytest.raises(SlipwayError, match="nothing to recover"):
        survey.survey("shop")


def test_a_named_backup_decides_between_dump_and_log(bucket):
    bucket.update(postgres=dump(), base=log())
    assert set(survey.survey("shop", ids={"postgres": "dump-1"}).choices) == {"postgres"}
    assert set(survey.survey("shop", ids={"base": "base-1"}).choices) == {"base"}
    with pytest.raises(SlipwayError, match="no backup of kind mongodb"):
        survey.survey("shop", ids={"mongodb": "x"})


def test_other_kinds_that_are_missing_are_told(bucket):
    bucket.update(postgres=dump(), files=None, state=None)
    found = survey.survey("shop")
    assert set(found.choices) == {"postgres"}
    assert found.missing == ["There is no backup of kind files.", "There is no backup of kind state."]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "PLACE", tmp_path / "recover")
    return tmp_path


KNOWN = Journal(stack="shop", started="2026-11-21T12:00:10+00:00", chosen={"base": "base-1", "redis": "redis-1"})


def test_the_journal_survives_and_is_nobody_elses(place):
    written = KNOWN.with_done("base", {"until": LATE}).with_warning("one").with_warning("one")
    journal.write(written)
    assert journal.read("shop") == written
    assert written.warnings == ("one",)
    assert os.stat(journal.path("shop")).st_mode & 0o777 == 0o600
    assert journal.forget("shop") and journal.read("shop") is None


def test_a_damaged_journal_is_told(place):
    journal.write(KNOWN)
    journal.path("shop").write_text("{")
    with pytest.raises(SlipwayError, match="cannot be read"):
        journal.read("shop")


def test_the_backups_are_chosen_once(place, bucket, monkeypatch):
    """A second try must not take what the half-recovered server backed up of itself."""
    paths = StackPaths("shop", stacks=place / "srv")
    monkeypatch.setattr(state, "StackPaths", lambda stack: paths)
    bucket.update(postgres=dump())
    begun = state.begin({"stack": "shop"}, Emitter.null())
    assert begun["recovery"]["chosen"] == {"postgres": "dump-1"}
    assert paths.maintenance.exists(), "somebody could write into a database that is about to be replaced"
    assert not begun["recovery"]["state"] and state.NO_STATE in begun["recovery"]["warnings"]
    bucket.update(postgres=Choice("postgres", "of-the-new-server", LATE, 1))
    again = state.begin({"stack": "shop"}, Emitter.null())
    assert not again["changed"] and again["recovery"]["chosen"] == {"postgres": "dump-1"}


def test_a_living_stack_is_refused(place, bucket, monkeypatch):
    paths = StackPaths("shop", stacks=place / "srv")
    monkeypatch.setattr(state, "StackPaths", lambda stack: paths)
    paths.root.mkdir(parents=True)
    paths.state.write_text("{}")
    bucket.update(postgres=dump())
    for call in (lambda: state.begin({"stack": "shop"}, Emitter.null()), lambda: state.plan({"stack": "shop"})):
        with pytest.raises(SlipwayError, match="for a bare one"):
            call()
    assert journal.read("shop") is None


def test_a_moment_without_its_offset_is_refused(place, bucket, monkeypatch):
    monkeypatch.setattr(state, "StackPaths", lambda stack: StackPaths(stack, stacks=place))
    with pytest.raises(SlipwayError, match="offset from UTC"):
        state.plan({"stack": "shop", "time": "2026-11-21 12:00"})


def test_data_before_state_is_refused(place):
    with pytest.raises(SlipwayError, match="No recovery of shop has begun"):
        data.finish({"stack": "shop"}, Emitter.null())


def test_certificates_are_added_and_never_replaced(tmp_path):
    old, here = tmp_path / "old", tmp_path / "here"
    (old / "archive" / "shop").mkdir(parents=True)
    (old / "archive" / "shop" / "privkey1.pem").write_text("secret")
    (old / "archive" / "shop" / "privkey1.pem").chmod(0o600)
    (old / "live" / "shop").mkdir(parents=True, mode=0o700)
    (old / "live" / "shop" / "privkey.pem").symlink_to("../../archive/shop/privkey1.pem")
    (old / "cli.ini").write_text("of the lost server")
    here.mkdir()
    (here / "cli.ini").write_text("of this one")
    state.fill(old, here)
    assert (here / "cli.ini").read_text() == "of this one"
    assert (here / "live" / "shop" / "privkey.pem").read_text() == "secret"
    assert os.readlink(here / "live" / "shop" / "privkey.pem") == "../../archive/shop/privkey1.pem"
    assert (here / "archive" / "shop" / "privkey1.pem").stat().st_mode & 0o777 == 0o600
    state.fill(old, here)


@pytest.mark.parametrize(
    ("lost_at", "seconds", "at_most"),
    [("2026-11-21T12:00:08+00:00", 2.8, False), ("", 4.8, True), ("2026-11-21T11:00:00+00:00", 0.0, False)],
)
def test_what_is_missing_is_counted_to_the_loss_or_at_most_to_the_start(lost_at, seconds, at_most):
    known = KNOWN.with_done("base", {"until": LATE})
    assert data.loss(known, lost_at) == {"until": LATE, "seconds": seconds, "at_most": at_most}


def test_without_a_database_nothing_is_claimed():
    assert data.loss(replace(KNOWN, started=datetime.now(timezone.utc).isoformat()), "")["seconds"] is None
