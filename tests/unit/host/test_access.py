# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real keys, read by the real ssh-keygen."""

from __future__ import annotations

import pwd
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.host import access
from ansible_collections.slipway.vps.plugins.module_utils.host.access import Login, User, Wish

LOGIN = Login("ops", "192.0.2.7", 22)
ACCOUNTS = {
    "ops": pwd.struct_passwd(("ops", "x", 1000, 1000, "", "/home/ops", "/bin/bash")),
    "alex": pwd.struct_passwd(("alex", "x", 1001, 1001, "", "/home/alex", "/bin/sh")),
    "www-data": pwd.struct_passwd(("www-data", "x", 33, 33, "", "/var/www", "/usr/sbin/nologin")),
    "nobody": pwd.struct_passwd(("nobody", "x", 65534, 65534, "", "/nonexistent", "/usr/sbin/nologin")),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("keys")
    kinds = {
        "ed25519": ["-t", "ed25519"],
        "rsa2048": ["-t", "rsa", "-b", "2048"],
        "rsa3072": ["-t", "rsa", "-b", "3072"],
    }
    for name, words in kinds.items():
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "a comment", "-f", place / name, *words], check=True)
    found = {name: Path(place, f"{name}.pub").read_text(encoding="utf-8").strip() for name in kinds}
    found["private"] = Path(place, "ed25519").read_text(encoding="utf-8")
    return found


def problems(wish: Wish, login: Login = LOGIN) -> str:
    return "\n".join(access.problems(wish, login, ACCOUNTS.get))


def test_what_is_in_order_is_no_problem(keys: dict[str, str]) -> None:
    wish = Wish(
        users=[User("alex", [keys["ed25519"], f'from="192.0.2.0/24",restrict {keys["rsa3072"]}'])],
        absent=["sam"],
        permit_root=False,
        allow_users=["alex", "op*@192.0.2.*"],
        rsa_bits=3072,
    )
    assert problems(wish) == ""


@pytest.mark.parametrize("wrong", ["", "hello", "ssh-ed25519 AAAAC3Nza", "# ssh-ed25519 AAAA", "ssh-rsa", "{private}"])
def test_a_key_that_is_none_is_refused(keys: dict[str, str], wrong: str) -> None:
    said = problems(Wish(users=[User("alex", [keys["ed25519"], wrong.format(**keys)])]))
    assert "Key 2 of alex in hardening_users" in said
    assert "is no public key" in said or "is not one line" in said


def test_a_private_key_is_not_told_to_everybody(keys: dict[str, str]) -> None:
    assert keys["private"].splitlines()[1] not in problems(Wish(users=[User("alex", [keys["private"]])]))


def test_two_keys_in_one_entry_are_refused(keys: dict[str, str]) -> None:
    assert "is not one line" in problems(Wish(users=[User("alex", [f"{keys['ed25519']}\n{keys['rsa3072']}"])]))


def test_a_key_that_the_server_will_not_take_is_refused(keys: dict[str, str]) -> None:
    users = [User("alex", [keys["rsa2048"]])]
    assert "an RSA key of 2048 bits, which the SSH server refuses: it wants 3072" in problems(
        Wish(users, rsa_bits=3072)
    )
    assert problems(Wish(users)) == ""


def test_a_user_without_keys_is_refused() -> None:
    assert "alex is in hardening_users without a key" in problems(Wish(users=[User("alex")]))


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"absent": ["ops"]}, "This play logs in as ops, who is in hardening_users_absent"),
        ({"absent": ["www-data"]}, "is a user of the system (number 33)"),
        ({"absent": ["nobody"]}, "is a user of the system (number 65534)"),
        ({"absent": ["deploy"], "deploy_users": ["deploy"]}, "is the user whose keys deploy"),
        ({"absent": ["Ann Other"]}, "'Ann Other' is no user name"),
        ({"absent": ["../alex"]}, "'../alex' is no user name"),
        ({"allow_users": ["alex"]}, "hardening_ssh_allow_users would no longer let it in. Add ops to that list"),
        ({"revert_seconds": 5}, "too short to log in and prove a change. Use at least 15"),
        ({"port": 70000}, "hardening_ssh_port is 70000, which is no port"),
    ],
)
def test_what_would_lock_out_is_refused(wish: dict[str, Any], sentence: str) -> None:
    assert sentence in problems(Wish(**wish))


def test_names_in_two_places_are_refused(keys: dict[str, str]) -> None:
    alex = User("alex", [keys["ed25519"]])
    assert "alex is in hardening_users and in hardening_users_absent" in problems(Wish([alex], absent=["alex"]))
    assert "alex is in hardening_users 2 times" in problems(Wish([alex, alex]))
    assert "root is in hardening_users, which is for people" in problems(Wish([User("root", [keys["ed25519"]])]))


def test_root_may_not_close_the_door_behind_itself() -> None:
    root = Login("root", "192.0.2.7", 22)
    assert "This play logs in as root" in problems(Wish(permit_root=False), root)
    assert problems(Wish(permit_root=True), root) == ""
    assert problems(Wish(permit_root=False, ssh=False), root) == ""


def test_a_connection_that_is_not_by_ssh_has_nothing_to_lose() -> None:
    login = Login.of({"LOGNAME": "root"})
    assert login == Login()
    assert problems(Wish(permit_root=False, allow_users=["alex"]), login) == ""


def test_the_way_in_is_what_sshd_says() -> None:
    assert Login.of({"LOGNAME": "ops", "SSH_CONNECTION": "192.0.2.7 50000 2001:db8::1 2222"}) == Login(
        "ops", "192.0.2.7", 2222
    )


@pytest.fixture(params=[b"220 mail ready\r\n", b"SSH-2.0-OpenSSH\r\n", b""])
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[int, bytes]]:
    """A program that greets (and one that waits to be greeted)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def greet() -> None:
            connection, _address = server.accept()
            held.append(connection)
            connection.sendall(request.param)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1], request.param
        thread.join(5)
        for connection in held:
            connection.close()


def test_a_port_that_another_program_has_is_refused(listener: tuple[int, bytes]) -> None:
    port, greeting = listener
    said = problems(Wish(port=port))
    assert (f"Port {port} is taken by another program" in said) is not greeting.startswith(b"SSH-")


def test_accounts_that_are_missing_or_different_are_named() -> None:
    users = [User("ops"), User("alex"), User("kim")]
    assert access.differing(users, ACCOUNTS.get) == ["alex", "kim"]
