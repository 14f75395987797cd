# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may log in after a change, seen before it: a wish that would end the play's own access is refused. Reads only."""

from __future__ import annotations

import pwd
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..common.process import run

TIMEOUT = 20.0
NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
# Below are the accounts of the system and its packages, above are nobody and those that systemd makes up.
FIRST_PERSON, LAST_PERSON = 1000, 60000


# Seconds; a login over a slow line takes some.
SHORTEST = 15


@dataclass(frozen=True)
class Login:
    """How this play came in, by what sshd tells every session."""

    user: str = ""
    address: str = ""
    port: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Login:
        words = environment.get("SSH_CONNECTION", "").split()
        if len(words) != 4:
            return cls()
        return cls(environment.get("LOGNAME", ""), words[0], int(words[3]))


@dataclass(frozen=True)
class User:
    name: str
    keys: Sequence[str] = ()
    shell: str = "/bin/bash"
    home: str = ""

    @property
    def place(self) -> str:
        return self.home or f"/home/{self.name}"


@dataclass(frozen=True)
class Wish:
    users: Sequence[User] = ()
    absent: Sequence[str] = ()
    # Users of other roles, which are none of the people.
    deploy_users: Sequence[str] = ()
    ssh: bool = True
    port: int = 22
    permit_root: bool = True
    allow_users: Sequence[str] = field(default=())
    rsa_bits: int = 0
    revert_seconds: int = 90


Lookup = Callable[[str], "pwd.struct_passwd | None"]


def lookup(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def problems(wish: Wish, login: Login, account: Lookup = lookup) -> list[str]:
    return [
        *_names(wish),
        *_keys(wish),
        *_absent(wish, login, account),
        *(_own_access(wish, login) if wish.ssh else ()),
        *(_port(wish, login) if wish.ssh else ()),
        *_time(wish),
    ]


def differing(users: Sequence[User], account: Lookup = lookup) -> list[str]:
    """Those whose account is missing or has another shell or home."""
    found = []
    for user in users:
        known = account(user.name)
        if known is None or (known.pw_shell, known.pw_dir) != (user.shell, user.place):
            found.append(user.name)
    return found


def _names(wish: Wish) -> Iterator[str]:
    names = [user.name for user in wish.users]
    for name in sorted({*names, *wish.absent}):
        if not NAME.fullmatch(name):
            yield (
                f"{name!r} is no user name. Use at most 32 lower-case letters, digits, hyphens, dots and underscores, "
                "beginning with a letter."
            )
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{name} is in hardening_users {times} times. Write one entry with all keys."
    if "root" in names:
        yield "root is in hardening_users, which is for people. Give each a user of their own and let them use sudo."


def _keys(wish: Wish) -> Iterator[str]:
    for user in wish.users:
        if not user.keys:
            yield (
                f"{user.name} is in hardening_users without a key and could never log in. Give a public key, or name "
                f"{user.name} in hardening_users_absent."
            )
        for number, key in enumerate(user.keys, start=1):
            if trouble := _key(key, wish.rsa_bits):
                yield (
                    f"Key {number} of {user.name} in hardening_users ({_beginning(key)}) {trouble} Write the whole "
                    "line of the .pub file, one key an entry."
                )


def _key(line: str, rsa_bits: int) -> str:
    """What ssh-keygen, which knows every kind of key and its options, has against it; or nothing."""
    if len(line.strip().splitlines()) != 1:
        return "is not one line."
    done = run(["ssh-keygen", "-l", "-f", "-"], stdin=f"{line.strip()}\n", timeout=TIMEOUT, check=False)
    if done.rc != 0:
        return "is no public key."
    bits, *_rest, kind = done.stdout.split()
    if kind == "(RSA)" and int(bits) < rsa_bits:
        return f"is an RSA key of {bits} bits, which the SSH server refuses: it wants {rsa_bits}."
    return ""


def _beginning(key: str) -> str:
    text = key.strip().partition("\n")[0]
    return f"{text[:24]}..." if len(text) > 24 else text or "it is empty"


def _absent(wish: Wish, login: Login, account: Lookup) -> Iterator[str]:
    wanted = {user.name for user in wish.users}
    for name in wish.absent:
        if name in wanted:
            yield f"{name} is in hardening_users and in hardening_users_absent. Take it out of one of them."
        elif name == login.user:
            yield (
                f"This play logs in as {name}, who is in hardening_users_absent. Let another user of "
                "hardening_users run it (ansible_user)."
            )
        elif name in wish.deploy_users:
            yield (
                f"{name} is in hardening_users_absent and is the user whose keys deploy. Take stack_deploy_keys away "
                "first, or name another user."
            )
        elif (known := account(name)) and not FIRST_PERSON <= known.pw_uid <= LAST_PERSON:
            yield (
                f"{name} is in hardening_users_absent and is a user of the system (number {known.pw_uid}). Such users "
                "belong to packages: take it out."
            )


def _own_access(wish: Wish, login: Login) -> Iterator[str]:
    if not login.user:
        return
    if login.user == "root" and not wish.permit_root:
        yield (
            "This play logs in as root, and the wanted SSH configuration would no longer let it in. Add a user with "
            "your key to hardening_users, run once with hardening_ssh_permit_root_login=prohibit-password, set "
            "ansible_user to that user, and run again."
        )
    # Of an entry USER@HOST only the user is compared here; whether the address fits is what the new login proves.
    allowed = [entry.partition("@")[0] for entry in (*wish.allow_users, *wish.deploy_users)]
    if wish.allow_users and not any(fnmatchcase(login.user, pattern) for pattern in allowed):
        yield (
            f"This play logs in as {login.user}, and hardening_ssh_allow_users would no longer let it in. Add "
            f"{login.user} to that list, or log in as one of its users (ansible_user)."
        )


def _port(wish: Wish, login: Login) -> Iterator[str]:
    if not 1 <= wish.port <= 65535:
        yield f"hardening_ssh_port is {wish.port}, which is no port. Use a number from 1 to 65535."
    elif wish.port != login.port and _answers_otherwise(wish.port):
        yield (
            f"Port {wish.port} is taken by another program than the SSH server. Find it with ss -ltnp 'sport = "
            f":{wish.port}' and stop it, or choose another hardening_ssh_port."
        )


def _time(wish: Wish) -> Iterator[str]:
    if wish.revert_seconds < SHORTEST:
        yield (
            f"hardening_ssh_revert_seconds is {wish.revert_seconds}, which is too short to log in and prove a change. "
            f"Use at least {SHORTEST}."
        )


def _answers_otherwise(port: int) -> bool:
    """Whether something listens there that does not greet as an SSH server does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            return connection.recv(4) != b"SSH-"
    except TimeoutError:
        return True
    except OSError:
        return False


def by_socket() -> str:
    """Whether systemd listens for sshd: `active` now, `enabled` for the next boot, or empty."""
    for word in ("active", "enabled"):
        if run(["systemctl", f"is-{word}", "--quiet", "ssh.socket"], timeout=TIMEOUT, check=False).rc == 0:
            return word
    return ""
