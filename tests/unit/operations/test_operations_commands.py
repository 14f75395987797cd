# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import cli, jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.operations import commands


def test_exec_takes_everything_after_the_service():
    args = cli.parser().parse_args(["exec", "--user", "app", "shop", "api", "--", "ls", "-l", "--slot"])
    assert (args.stack, args.service, args.user, args.slot) == ("shop", "api", "app", "")
    # Python versions differ in whether they leave the dashes in.
    assert commands.without_dashes(args.words) == ["ls", "-l", "--slot"]


def test_logs_understands_services_and_limits():
    args = cli.parser().parse_args(["logs", "shop", "api", "postgres", "--since", "15m", "--lines", "5", "-f"])
    assert (args.services, args.since, args.lines, args.follow) == (["api", "postgres"], "15m", 5, True)


def test_slot_and_release_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["logs", "shop", "--slot", "blue", "--release", "1.0.0"])
    assert "not allowed with" in capsys.readouterr().err


def test_a_stack_that_is_not_there_is_a_sentence_and_not_a_traceback(capsys):
    for words in (["status", "nothing-here"], ["logs", "nothing-here"], ["exec", "nothing-here", "api"]):
        assert cli.main(words) == 1
        assert "There is no stack nothing-here on this host. List them with: slipway status" in capsys.readouterr().err


@pytest.fixture
def on_record(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "JOBS_DIRECTORY", tmp_path)
    for job, stack, started, ok in (
        ("release-deploy-1", "shop", "20261121T050000", True),
        ("release-deploy-2", "blog", "20261121T060000", False),
        ("backup-run-3", "shop", "20261121T070000", True),
    ):
        place = tmp_path / job
        place.mkdir()
        (place / "job.json").write_text(json.dumps({"stack": stack, "started": started, "label": f"work of {stack}"}))
        (place / "events.jsonl").write_text(json.dumps({"event": "info", "message": f"told by {job}"}) + "\n")
        outcome = {"ok": ok, "result": {}} if ok else {"ok": False, "error": {"message": "It broke."}}
        (place / "result.json").write_text(json.dumps(outcome))
    return tmp_path


def test_follow_takes_the_newest_job_or_that_of_a_stack_or_the_one_named(on_record, capsys):
    for words, job in ((["follow"], "backup-run-3"), (["follow", "shop"], "backup-run-3")):
        assert cli.main(words) == 0
        assert f"told by {job}" in capsys.readouterr().out
    assert cli.main(["follow", "release-deploy-1"]) == 0
    assert "told by release-deploy-1" in capsys.readouterr().out


def test_follow_ends_as_the_job_ended(on_record, capsys):
    assert cli.main(["follow", "blog"]) == 1
    seen = capsys.readouterr()
    assert "told by release-deploy-2" in seen.out
    assert "It broke." in seen.err


def test_jobs_are_listed_oldest_first_and_by_stack(on_record, capsys):
    assert cli.main(["jobs", "shop"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "release-deploy-1  succeeded  work of shop",
        "backup-run-3  succeeded  work of shop",
    ]


def test_nothing_to_follow_is_said(on_record):
    with pytest.raises(SlipwayError, match="no job nobody on record"):
        jobs.newest("nobody")
