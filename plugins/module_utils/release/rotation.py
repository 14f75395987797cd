# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New secrets for the release that serves, and the database's own password among them.

An application has its database password from a secret, and the database knows one password only. While both slots run,
the old one has the old password and the new one the new. So, before the new slot starts,

    pg_hba.conf lets the old slot's containers in by their address -> the role gets the new password

and the new slot logs in with the new password for real, which its probes prove. Once the old slot has stopped, the
lines go. If the release is given up, the role gets the old password back. Open connections notice nothing of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import SlipwayError
from ..common.files import read_json, write_atomic, write_json
from ..postgres import hba
from ..postgres.options import PostgresOptions
from .daemon import Container
from .host import Host
from .model import Model
from .paths import DATA
from .record import definition

if TYPE_CHECKING:
    from ..tenancy.session import Session

NOTE = "rotation.json"
RELOAD_PAUSE = 1.0  # the server reads pg_hba.conf within milliseconds, and tells nobody when it has
# What the roles left on the host with the password in it.
CONFIGURATION = Path("/etc/slipway")
HOLDERS = ("backup", "tenants", "probes")


@dataclass(frozen=True)
class Database:
    """The role whose password is one of the secrets."""

    service: str
    database: str
    user: str
    secret: str


def database_of(given: Mapping[str, Any], new: Mapping[str, str], changed: set[str]) -> Database | None:
    """The database that stack_database describes, if its password is among the secrets that change."""
    password = str(given.get("password") or "")
    secret = next((name for name in sorted(changed) if password and new[name] == password), "")
    if not secret:
        return None
    if not given.get("service"):
        raise SlipwayError(
            f"{secret} is the password of a database outside of this stack ({given.get('host') or 'no service'}), "
            "where a release cannot change it.",
            hint="Make a second role with the new password at that server, put it into env and secrets, and deploy.",
        )
    return Database(str(given["service"]), str(given.get("name") or ""), str(given.get("user") or ""), secret)


def refuse_data_services(before: Model, after: Model, services: tuple[str, ...]) -> None:
    """`after` is the model with all new secrets except for the database's password."""
    touched = [name for name in services if definition(before, name) != definition(after, name)]
    if touched:
        raise SlipwayError(
            f"A secret that changes is part of the definition of the data service {touched[0]}, which no release "
            "touches: it would go on with the old one.",
            hint="Leave that secret as it is, or change it while the maintenance page is up: first with "
            "playbooks/data_services.yml, then with playbooks/deploy.yml.",
        )


def swapped(value: Any, old: str, new: str) -> Any:
    """The same structure with one text replaced, wherever a value is exactly that."""
    if isinstance(value, Mapping):
        return {key: swapped(entry, old, new) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [swapped(entry, old, new) for entry in value]
    return new if value == old else value


# --- on the host


def note(host: Host, number: int, database: Database | None) -> None:
    """Kept with the release before anything is done, so that whoever finishes or reverts it knows."""
    if database:
        write_json(host.paths.release(number) / NOTE, asdict(database))


def noted(host: Host, number: int) -> Database | None:
    found = read_json(host.paths.release(number) / NOTE)
    return Database(**found) if found else None


def check(host: Host, database: Database, old: str) -> None:
    """Refuse early what could not be done later."""
    with _session(host, database, old) as session:
        may = session.rows("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    if not may or not may[0][0]:
        raise SlipwayError(
            f"The role {database.user} is no superuser, so it cannot let the old slot in while its password changes.",
            hint="Make a second role with the new password, put it into the stack's env and secrets, and deploy.",
        )


def open_both(host: Host, database: Database, slot: str, old: str, new: str) -> None:
    """From here on the old slot is let in by its address, and everybody else with the new password."""
    with _session(host, database, old, new) as session:
        _write_hba(host, database, session, _addresses(host, slot))
        _set_password(session, database.user, new)
    with _session(host, database, new):
        host.emitter.info(f"the role {database.user} has its new password")
    _tell_holders(host.paths.stack, old, new)


def close(host: Host, database: Database, new: str) -> None:
    """The old slot is gone: its door is shut."""
    with _session(host, database, new) as session:
        _write_hba(host, database, session, [])


def undo(host: Host, database: Database, old: str, new: str) -> None:
    """The old password counts again, for everybody."""
    with _session(host, database, new, old) as session:
        _set_password(session, database.user, old)
        _write_hba(host, database, session, [])
    _tell_holders(host.paths.stack, new, old)
    host.emitter.info(f"the role {database.user} has its old password again")


def _session(host: Host, database: Database, *passwords: str) -> Any:
    """With the first of the passwords that the server takes."""
    from ..tenancy.session import Session

    def options(password: str) -> PostgresOptions:
        return PostgresOptions(
            container=f"{host.paths.project(DATA)}-{database.service}-1",
            user=database.user,
            password=password,
            database=database.database,
        )

    for password in passwords[:-1]:
        try:
            with Session.open(options(password)):
                pass
        except SlipwayError:
            continue
        return Session.open(options(password))
    return Session.open(options(passwords[-1]))


def _set_password(session: Session, user: str, password: str) -> None:
    from psycopg2 import extensions, sql

    # Made here, so that neither the server's log nor its statistics ever see the password.
    verifier = extensions.encrypt_password(password, user, scope=session.connection, algorithm="scram-sha-256")
    session.run(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(verifier)),
    )
    session.commit()


def _addresses(host: Host, slot: str) -> list[str]:
    return sorted(
        address
        for entry in host.daemon.containers(host.paths.project(slot))
        if entry.running
        for address in host.daemon.addresses(entry.id)
    )


def _write_hba(host: Host, database: Database, session: Session, addresses: list[str]) -> None:
    """Change the file inside of the container, and see that the server has read it."""
    server = _container(host, database)
    path = str(session.rows("SELECT pg_catalog.current_setting('hba_file')")[0][0])
    text = host.daemon.read_file(server.id, path)
    wanted = hba.admit(text, database.database, database.user, addresses) if addresses else hba.withdraw(text)
    if wanted == text:
        return
    host.daemon.write_file(server.id, path, wanted)
    wrong = session.rows("SELECT error FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL")
    if wrong:
        host.daemon.write_file(server.id, path, text)
        raise SlipwayError(f"PostgreSQL does not accept its pg_hba.conf: {wrong[0][0]}.", hint="Nothing was changed.")
    session.rows("SELECT pg_catalog.pg_reload_conf()")
    session.commit()
    time.sleep(RELOAD_PAUSE)


def _container(host: Host, database: Database) -> Container:
    found = [entry for entry in host.daemon.containers(host.paths.project(DATA)) if entry.service == database.service]
    if not found:
        raise SlipwayError(f"The data service {database.service} has no container.", hint="Look with: slipway status")
    return found[0]


def _tell_holders(stack: str, old: str, new: str) -> None:
    """Backups, tenants and probes go on with the password that counts."""
    for place in HOLDERS:
        path = CONFIGURATION / place / f"{stack}.json"
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            write_atomic(path, text.replace(json.dumps(old), json.dumps(new)), 0o600)
