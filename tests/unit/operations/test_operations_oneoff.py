# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.operations import oneoff
from ansible_collections.slipway.vps.plugins.module_utils.release import compose, preflight

REQUEST: dict[str, Any] = {"stack": "shop", "service": "api", "command": ["./api", "report"]}
RELEASE: Any = SimpleNamespace(groups=SimpleNamespace(application=("api", "web"), data=("postgres",)))


def test_a_command_is_a_list_json_or_words():
    for given in (["./api", "re port"], '["./api", "re port"]', "./api 're port'"):
        assert oneoff.words(given) == ("./api", "re port")
    assert oneoff.words("echo $(reboot); id") == ("echo", "$(reboot);", "id")
    assert oneoff.words(15) == ("15",)


@pytest.mark.parametrize("given", ['["./api",', "./api 'report"])
def test_a_command_that_cannot_be_read_is_a_sentence(given):
    with pytest.raises(SlipwayError, match="cannot be cut into words"):
        oneoff.words(given)


def test_no_command_and_no_time_are_refused():
    with pytest.raises(SlipwayError, match="no command to run"):
        oneoff.read({**REQUEST, "command": []})
    with pytest.raises(SlipwayError, match="time limit is -1"):
        oneoff.read({**REQUEST, "time_limit": -1})
    with pytest.raises(SlipwayError, match="stack name"):
        oneoff.read({**REQUEST, "stack": "../shop"})


def test_the_same_command_has_the_same_container_and_another_one_another():
    one = oneoff.mark(oneoff.read(REQUEST))
    assert one == oneoff.mark(oneoff.read({**REQUEST, "time_limit": 5}))
    others = [{"service": "web"}, {"command": ["./api", "report", ""]}, {"entrypoint": "sh"}]
    assert len({one, *(oneoff.mark(oneoff.read({**REQUEST, **other})) for other in others)}) == 4


def test_data_services_and_unknown_ones_are_refused():
    oneoff.refuse_service(RELEASE, "api")
    with pytest.raises(SlipwayError, match="slipway exec"):
        oneoff.refuse_service(RELEASE, "postgres")
    with pytest.raises(SlipwayError, match="It has: api, web"):
        oneoff.refuse_service(RELEASE, "apy")


def test_the_command_goes_to_compose_as_it_is():
    project = compose.Project("shop-blue", "/srv/shop/files", ("compose.yml",))
    argv = compose.run_detached(project, "api", ["-c", "a; b"], "shop-blue-run-1", "sh")
    assert argv[argv.index("run") :] == [
        "run",
        "--detach",
        "--no-deps",
        "--name",
        "shop-blue-run-1",
        "--entrypoint",
        "sh",
        "api",
        "-c",
        "a; b",
    ]


def test_a_release_does_not_end_a_command_that_still_runs_in_its_slot():
    running: Any = SimpleNamespace(name="shop-blue-run-0af1", running=True, started_at="2026-11-21T05:00:00.1Z")
    ended: Any = SimpleNamespace(name="shop-blue-run-0af2", running=False, started_at="")
    migration: Any = SimpleNamespace(name="shop-blue-migrate", running=True, started_at="")
    preflight.refuse_running_commands([ended, migration])
    with pytest.raises(SlipwayError, match=r"docker stop shop-blue-run-0af1"):
        preflight.refuse_running_commands([ended, running])
