# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database needs once, before its first tenant."""

from __future__ import annotations

from collections.abc import Callable

from . import pooler, registry, store
from .catalog import Catalog
from .plan import Action
from .session import Session
from .spec import Request


def needed(request: Request, found: Catalog) -> list[Action]:
    """The actions on the database as a whole."""
    actions = []
    if found.server.store_version < store.VERSION:
        before = found.server.store_version or None
        verb = "update" if before else "create"
        actions.append(Action("store", f"{verb} schema {store.SCHEMA}", "schema slipway", before, store.VERSION))
    if not found.server.registry:
        text = "create tables public.tenants and public.plans"
        actions.append(Action("registry", text, "table public.tenants", None, "created"))
    if request.registry_create:
        for plan in registry.missing_plans(request, found):
            actions.append(Action("plan", f"create plan {plan}", f"plan {plan}", None, "created", {"name": plan}))
    if found.server.public_create and found.server.owns_public:
        # the default before PostgreSQL 15, under which any tenant could put objects into the others' search path
        text = "revoke CREATE on schema public from PUBLIC"
        actions.append(Action("public", text, "schema public grants PUBLIC CREATE", True, False))
    return actions


def lay(session: Session, request: Request, read: Callable[[], Catalog]) -> list[Action]:
    """Carry out what is needed. Another run may have been faster: it is waited for, and then looked at again."""
    store.lock(session)
    found = read()
    actions = needed(request, found)
    for action in actions:
        if action.kind == "store":
            store.create(session)
        elif action.kind == "registry":
            registry.create(session, found)
        elif action.kind == "plan":
            session.run("INSERT INTO public.plans (name) VALUES (%s) ON CONFLICT DO NOTHING", (action.data["name"],))
        elif action.kind == "public":
            session.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    # last, because its function reads the store
    pooling = pooler.needed(session, request.pooler, request.application_roles, found)
    pooler.apply(session, pooling)
    session.commit()
    return actions + pooling


def pretend(found: Catalog, actions: list[Action]) -> None:
    """In check mode the plans that a real run would create count as there."""
    for action in actions:
        if action.kind == "plan":
            found.plans.append({"id": f"(id of new plan {action.data['name']})", "name": action.data["name"]})
