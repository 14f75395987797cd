# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import unattended


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "JOBS_DIRECTORY", tmp_path / "jobs")
    directory = tmp_path / "jobs" / "release-deploy-1"
    directory.mkdir(parents=True)
    (directory / "job.json").write_text(json.dumps({"kind": "release.deploy", "label": "x", "key": "k"}))
    return directory


def ask(place, kind="release.deploy", request=None):
    (place / "request.json").write_text(json.dumps({"kind": kind, "request": request or {"secret": "s3cret"}}))


def deploy(request, emitter):
    with emitter.phase("pull"):
        emitter.info("one image")
    return {"release": 7}


def test_a_job_leaves_events_and_a_result_but_not_its_request(place):
    ask(place)
    assert jobs.execute(place.name, {"release.deploy": deploy}) == 0
    view = jobs.view(place.name)
    assert view.state == "succeeded"
    assert view.result == {"release": 7}
    assert [event["event"] for event in view.events] == ["start", "info", "done"]
    assert not (place / "request.json").exists()
    assert stat.S_IMODE((place / "result.json").stat().st_mode) == 0o600
    assert "s3cret" not in (place / "result.json").read_text() + (place / "events.jsonl").read_text()


def test_reading_goes_on_from_the_offset(place):
    ask(place)
    jobs.execute(place.name, {"release.deploy": deploy})
    first = jobs.view(place.name)
    assert jobs.view(place.name, first.offset).events == []


def test_waiting_returns_at_the_first_event_or_collects_until_the_time_is_over(place, monkeypatch):
    monkeypatch.setattr(jobs, "_unit_runs", lambda job: True)
    (place / "events.jsonl").write_text('{"event": "info", "message": "pulling"}\n')
    began = time.monotonic()
    assert len(jobs.view(place.name, 0, 5).events) == 1
    assert time.monotonic() - began < 1
    assert len(jobs.view(place.name, 0, 0.6, collect=True).events) == 1
    assert time.monotonic() - began > 0.6


def test_a_failure_is_recorded_with_its_phase_and_hint(place):
    def fail(request, emitter):
        with emitter.phase("probe"):
            raise SlipwayError("The API answers 500.", hint="Read its log.")

    ask(place)
    assert jobs.execute(place.name, {"release.deploy": fail}) == 1
    view = jobs.view(place.name)
    assert view.state == "failed"
    assert (view.error["message"], view.error["hint"], view.error["phase"]) == (
        "The API answers 500.",
        "Read its log.",
        "probe",
    )
    with pytest.raises(SlipwayError, match=r"The API answers 500\. Read its log"):
        jobs.wait(place.name, 1)


def test_a_defect_is_recorded_too(place):
    def defect(request, emitter):
        raise KeyError("slot")

    ask(place)
    with pytest.raises(KeyError):
        jobs.execute(place.name, {"release.deploy": defect})
    assert "KeyError" in jobs.view(place.name).error["message"]


def test_an_unknown_kind_is_said(place):
    ask(place, kind="release.fly")
    assert jobs.execute(place.name, {}) == 1
    assert "release.fly" in jobs.view(place.name).error["message"]


def test_a_job_whose_unit_is_gone_without_a_result_is_lost(place, monkeypatch):
    monkeypatch.setattr(jobs, "_unit_runs", lambda job: False)
    monkeypatch.setattr(jobs, "LOST_AFTER_SECONDS", -1)
    view = jobs.view(place.name)
    assert view.state == "lost"
    assert "journalctl" in view.error["hint"]


def test_an_unknown_job_and_a_path_are_refused(place):
    for name in ("nothing", "../../etc", ""):
        with pytest.raises(SlipwayError):
            jobs.view(name)


def test_a_missing_or_other_agent_is_refused_with_the_command_to_run(tmp_path, monkeypatch):
    version = tmp_path / "VERSION"
    monkeypatch.setattr(jobs, "AGENT_VERSION_FILE", version)
    with pytest.raises(SlipwayError, match="not installed"):
        jobs.require_agent()
    version.write_text("0.0.1\n")
    with pytest.raises(SlipwayError, match=r"0\.0\.1"):
        jobs.require_agent()


def see_to(stack, emitter):
    emitter.info(f"{stack} was seen to")
    return f"Release 1.0 of {stack} serves."


def test_a_job_whose_process_was_killed_is_seen_to_and_says_so(place):
    (place / "job.json").write_text(
        json.dumps({"kind": "release.deploy", "stack": "shop", "label": "deploy of shop 1.1", "key": "k"})
    )
    (place / "request.json").write_text("{}")
    assert jobs.end(place.name, {"release.deploy": see_to}) == 1
    seen = jobs.view(place.name)
    assert seen.state == "failed"
    assert "deploy of shop 1.1) was killed. Release 1.0 of shop serves." in seen.error["message"]
    assert [event["message"] for event in seen.events] == ["shop was seen to"]
    assert not (place / "request.json").exists()


def test_a_job_that_left_a_result_is_left_alone(place):
    ask(place)
    jobs.execute(place.name, {"release.deploy": deploy})
    assert jobs.end(place.name, {"release.deploy": see_to}) == 0
    assert jobs.view(place.name).state == "succeeded"


def test_how_a_job_ended_is_told_once(place):
    (place / "job.json").write_text(
        json.dumps({"kind": "release.deploy", "stack": "shop", "label": "deploy of shop 1.1", "key": "k"})
    )
    ask(place)
    jobs.execute(place.name, {"release.deploy": lambda *_: {"release": 7, "release_name": "1.1", "slot": "blue"}})
    assert unattended.sentences("other", tell=True) == []
    assert unattended.sentences("shop", tell=False) == unattended.sentences("shop", tell=True)
    assert unattended.sentences("shop", tell=True) == []


def test_a_release_that_ended_by_itself_is_described(place):
    (place / "job.json").write_text(
        json.dumps({"kind": "release.deploy", "stack": "shop", "label": "deploy of shop 1.1", "key": "k"})
    )
    ask(place)
    jobs.execute(place.name, {"release.deploy": lambda *_: {"release": 7, "release_name": "1.1", "slot": "blue"}})
    (said,) = unattended.sentences("shop", tell=True)
    assert said == (
        "The deploy of shop 1.1 (job release-deploy-1) lost its controller and ended by itself: "
        "release 1.1 (number 7) was put into service in slot blue."
    )


def test_whoever_waits_has_been_told(place):
    (place / "job.json").write_text(json.dumps({"kind": "release.deploy", "stack": "shop", "label": "x", "key": "k"}))
    ask(place)
    jobs.execute(place.name, {"release.deploy": deploy})
    jobs.wait(place.name, 1)
    assert unattended.sentences("shop", tell=False) == []


def test_two_that_ask_at_once_for_the_same_share_one_job(place, monkeypatch):
    started = []

    def run(argv, timeout):
        time.sleep(0.1)
        started.append(argv)

    monkeypatch.setattr(jobs, "require_agent", lambda: None)
    monkeypatch.setattr(jobs, "run", run)
    monkeypatch.setattr(jobs, "_unit_runs", lambda job: bool(started))
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: jobs.start("operations.run", {"stack": "shop"}, "a command"), range(4)))
    assert len(started) == len(found) == 1
    assert jobs.note(found.pop())["stack"] == "shop"
