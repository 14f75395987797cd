# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import cli
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.operations import ci
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import RELEASE_NAME

ANY = RELEASE_NAME.pattern


def test_the_three_things_that_a_key_may_ask_for():
    assert ci.parse("release shop 1.4.3", "shop", ANY) == ci.Order("release", "shop", "1.4.3")
    assert ci.parse("follow shop", "shop", ANY) == ci.Order("follow", "shop")
    assert ci.parse("status shop", "shop", ANY) == ci.Order("status", "shop")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "sh",
        "bash -i",
        "internal-sftp",
        "scp -t /tmp",
        "release shop",
        "release shop 1.0 2.0",
        "release  shop 1.0",
        " release shop 1.0",
        "release shop 1.0\n",
        "release shop 1.0\nreboot",
        "release shop 1.0\t",
        "status shop --json",
        "logs shop",
        "exec shop api",
        "status",
        "Release shop 1.0",
    ],
)
def test_everything_else_is_refused(words):
    with pytest.raises(SlipwayError, match="may only deploy shop") as refusal:
        ci.parse(words, "shop", ANY)
    assert "release STACK NAME" in refusal.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "1.0;reboot",
        "$(reboot)",
        "`id`",
        "--force",
        "-e",
        "1.0|cat",
        "../../etc",
        "1.0&",
        "'1.0'",
        "a" * 200,
        "é",
    ],
)
def test_a_release_name_that_is_none_is_refused(name):
    with pytest.raises(SlipwayError, match="is not the name of a release"):
        ci.parse(f"release shop {name}", "shop", ANY)


def test_a_narrower_pattern_counts_for_the_whole_name():
    assert ci.parse("release shop 1.4.3", "shop", r"\d+\.\d+\.\d+").name == "1.4.3"
    for name in ("1.4.3-rc1", "v1.4.3", "latest"):
        with pytest.raises(SlipwayError, match="stack_deploy_pattern"):
            ci.parse(f"release shop {name}", "shop", r"\d+\.\d+\.\d+")


def test_another_stack_is_refused():
    for words in ("release blog 1.0", "status blog", "follow ../shop"):
        with pytest.raises(SlipwayError, match="for the stack shop alone"):
            ci.parse(words, "shop", ANY)


def test_a_key_that_is_not_on_record_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ci, "DIRECTORY", tmp_path)
    monkeypatch.setenv(ci.ORIGINAL, "status shop")
    assert cli.main(["ci", "shop", "github"]) == 1
    assert "The key github may not deploy shop" in capsys.readouterr().err
    (tmp_path / "shop.json").write_text(json.dumps({"keys": ["gitlab"], "pattern": ""}))
    assert cli.main(["ci", "shop", "github"]) == 1
    assert "The key github may not deploy shop" in capsys.readouterr().err


def test_without_a_command_there_is_no_shell_but_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ci, "DIRECTORY", tmp_path)
    (tmp_path / "shop.json").write_text(json.dumps({"keys": ["github"]}))
    monkeypatch.delenv(ci.ORIGINAL, raising=False)
    assert cli.main(["ci", "shop", "github"]) == 1
    assert "This key may only deploy shop; nothing was asked for." in capsys.readouterr().err


def test_the_last_deploy_again_under_another_name():
    last = {
        "action": "deploy",
        "stack": "shop",
        "release": "1.4.2",
        "secrets": {"A": "b"},
        "force": True,
        "contract": True,
        "requested_by": "ops",
    }
    assert ci.again(last, "1.4.3", "deploy key github") == {
        "action": "deploy",
        "stack": "shop",
        "release": "1.4.3",
        "secrets": {"A": "b"},
        "force": False,
        "contract": False,
        "requested_by": "deploy key github",
    }


def test_a_key_deploys_nothing_that_was_not_promoted():
    last = {"stack": "shop", "release": "1.4.2", "digests": {"api": "sha256:5f"}}
    assert ci.again(last, "1.4.2", "deploy key github")["digests"] == {"api": "sha256:5f"}
    with pytest.raises(SlipwayError, match=r"those of release 1\.4\.3 are not known"):
        ci.again(last, "1.4.3", "deploy key github")
