# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CI system's key: it releases, follows and looks, and there is no way round that."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from slipway_deploy_key import OPTIONS, ssh


def release(server: Any) -> str:
    return str(server.web.ask(f"api.{server.zone}", "/version").json()["release"])


def test_a_release_goes_on_when_the_connection_is_lost_and_is_followed_to_its_end(server: Any) -> None:
    argv = ["ssh", *OPTIONS, f"deploy@{server.address}", "release", "shop", "1.0.1"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as begun:
        assert begun.stdout is not None
        assert any(line.startswith("preflight done in") for line in begun.stdout)
        begun.kill()
    done = ssh(server, "follow", "shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "switch done in" in done.stdout
    assert release(server) == "1.0.1"
    assert '"by": "deploy key ci"' in server.vps.file("/srv/shop/releases.jsonl").content_string
    again = ssh(server, "release", "shop", "1.0.1")
    assert (again.returncode, again.stdout) == (0, "Release 1.0.1 of shop serves already.\n")


def test_a_release_that_fails_ends_with_its_result_and_changes_nothing(server: Any) -> None:
    done = ssh(server, "release", "shop", "1.2.0-crash")
    assert done.returncode == 1
    assert "1.2.0-crash" in done.stderr
    assert "The traffic never moved" in done.stderr
    assert release(server) == "1.0.1"


def test_it_follows_and_looks(server: Any) -> None:
    followed = ssh(server, "follow", "shop")
    assert followed.returncode == 1, "the newest release failed"
    looked = ssh(server, "status", "shop")
    assert looked.returncode == 0
    assert "release 1.0.1 (number 2) serves" in looked.stdout


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("id",),
        ("sh",),
        ("sudo", "-n", "id"),
        ("slipway", "status"),
        ("release", "shop", "1.0.0;id"),
        ("release", "shop", "$(id)"),
        ("release", "shop", "1.0.0\nid"),
        ("release", "shop", "--force"),
        ("release", "shop", "latest"),
        ("release", "blog", "1.0.0"),
        ("status", "blog"),
        ("exec", "shop", "api", "id"),
        ("logs", "shop"),
        ("cat", "/etc/passwd"),
    ],
)
def test_it_can_do_nothing_else(server: Any, words: tuple[str, ...]) -> None:
    refused = ssh(server, *words, stdin="id\n")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "This key" in refused.stderr or "is not the name of a release that this key may deploy" in refused.stderr
    assert "uid=" not in refused.stderr


def test_it_copies_no_files(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    target = f"deploy@{server.address}"
    for argv in (
        ["scp", *OPTIONS, str(tmp_path / "file"), f"{target}:/tmp/from-ci"],
        ["scp", "-O", *OPTIONS, str(tmp_path / "file"), f"{target}:/tmp/from-ci"],
        ["sftp", *OPTIONS, f"{target}:/etc/passwd", str(tmp_path / "passwd")],
    ):
        assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode != 0
    assert not server.vps.file("/tmp/from-ci").exists
    assert not (tmp_path / "passwd").exists()


def test_it_forwards_nothing(server: Any) -> None:
    straight = ssh(server, before=("-W", "127.0.0.1:22"), stdin="x\n")
    assert "SSH-2.0" not in straight.stdout
    assert "forwarding" in straight.stderr or "prohibited" in straight.stderr
    back = ssh(
        server, "status", "shop", before=("-R", "127.0.0.1:19999:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes")
    )
    assert back.returncode == 255
    assert "forwarding failed" in back.stderr


def test_it_gets_no_terminal(server: Any) -> None:
    refused = ssh(server, "status", "shop", before=("-tt",))
    assert "PTY allocation request failed" in refused.stderr


def test_its_user_owns_nothing_and_may_run_one_command_only(server: Any) -> None:
    allowed = server.vps.run("sudo -l -U deploy").stdout.splitlines()
    assert [line.strip() for line in allowed if "NOPASSWD" in line] == ["(root) NOPASSWD: /usr/bin/slipway ci shop ci"]
    for path in (
        "/var/lib/slipway/deploy",
        "/var/lib/slipway/deploy/.ssh",
        "/var/lib/slipway/deploy/.ssh/authorized_keys",
    ):
        assert server.vps.file(path).user == "root"
    assert server.vps.run("passwd --status deploy").stdout.split()[1] == "L"
    assert server.vps.file("/etc/ssh/sshd_config").contains("^AllowUsers ops deploy$")
