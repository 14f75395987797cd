#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_tenant
short_description: Give tenants a schema, a role, grants and migrations in one PostgreSQL database
version_added: 0.1.0
description:
  - Makes any number of tenants what they should be, over one connection. An unchanged run asks the same number of
    queries whether there are ten tenants or ten thousand.
  - Each tenant has a row in C(public.tenants), a schema, a role that owns that schema and nothing else, rights for the
    application, and the SQL templates it has not run yet.
  - Each tenant is changed in one transaction of its own, under a lock. A run that breaks off leaves no half tenant, and
    of two runs at once each tenant is created by one of them.
  - Drift is repaired. A revoked grant comes back, a changed owner, setting or limit is put right.
  - The tables C(public.tenants) (C(id), C(subdomain), C(custom_domain), C(plan_id)) and C(public.plans) belong to the
    application and are used as its migrations made them. What Slipway knows about tenants is in the schema C(slipway).
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.postgres
options:
  tenants:
    description: The tenants. All names are checked before anything is changed.
    type: list
    elements: dict
    default: []
    suboptions:
      slug:
        description:
          - Short name of the tenant, 1 to 48 lower-case letters, digits and underscores.
          - Its schema and its role are named after it.
        type: str
        required: true
      subdomain:
        description: DNS label of the tenant. The default is the slug with hyphens for underscores.
        type: str
      custom_domain:
        description: A host name of the tenant's own. Left out, the row keeps what it has; an empty text clears it.
        type: str
      plan:
        description: A plan in C(public.plans), by its slug, code, name, key or id. Left out, the row keeps what it has.
        type: str
      state:
        description:
          - V(present) creates and converges.
          - V(suspended) keeps all data, but the tenant's role cannot log in and the application loses its way into the
            schema.
          - V(absent) removes the schema, the role and the row; see O(tenants[].force) and O(tenants[].export).
        type: str
        choices: [present, suspended, absent]
        default: present
      login:
        description: Whether the tenant's role may log in.
        type: bool
        default: false
      password:
        description:
          - Password of the role, for O(tenants[].login=true). Only its SCRAM verifier is sent to the server.
        type: str
      update_password:
        description:
          - Where the connected role may not read password verifiers, a password is set when login is first allowed.
            This sets it in every run.
        type: bool
        default: false
      connection_limit:
        description: How many connections the role may have, V(-1) for no limit.
        type: int
        default: -1
      statement_timeout:
        description: Longest time of a statement for the role when it logs in, such as V(30s). Left out, there is none.
        type: str
      columns:
        description: Further columns of C(public.tenants) to set, as the team's own table has them.
        type: dict
      force:
        description: Allow O(tenants[].state=absent) to remove data. The default is the module's O(force).
        type: bool
      export:
        description:
          - Whether the tenant's data has to be exported before it is removed. The default is the module's O(export).
          - M(slipway.vps.postgres_tenant_erase) exports and removes. This module exports nothing, so V(absent) needs
            V(false) here.
        type: bool
  name:
    description: Slug of a single tenant, in place of O(tenants). The options below describe it.
    type: str
  subdomain:
    description: See O(tenants[].subdomain).
    type: str
  custom_domain:
    description: See O(tenants[].custom_domain).
    type: str
  plan:
    description: See O(tenants[].plan).
    type: str
  state:
    description: See O(tenants[].state).
    type: str
    choices: [present, suspended, absent]
    default: present
  login:
    description: See O(tenants[].login).
    type: bool
    default: false
  password:
    description: See O(tenants[].password).
    type: str
  update_password:
    description: See O(tenants[].update_password).
    type: bool
    default: false
  connection_limit:
    description: See O(tenants[].connection_limit).
    type: int
    default: -1
  statement_timeout:
    description: See O(tenants[].statement_timeout).
    type: str
  columns:
    description: See O(tenants[].columns).
    type: dict
  force:
    description: Allow V(absent) to remove data, for all tenants that do not say otherwise.
    type: bool
    default: false
  export:
    description: Whether data has to be exported before it is removed, for all tenants that do not say otherwise.
    type: bool
    default: true
  templates:
    description:
      - SQL that every tenant gets once, in the order of the names. It runs as the tenant's role with the tenant's
        schema first in the C(search_path), inside the tenant's transaction.
      - A template that has run may not change any more. A new one needs the next number.
      - A statement that cannot run in a transaction, such as C(CREATE INDEX CONCURRENTLY IF NOT EXISTS), has a file of
        its own with the line C(-- slipway:no-transaction) in its head. What a failure leaves of an index is named, and
        dropped before the next try.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: File name such as V(0001_init.sql).
        type: str
        required: true
      sql:
        description: Its text.
        type: str
        required: true
  template_dir:
    description: Directory on the module's host with further templates (C(*.sql)).
    type: path
  source:
    description:
      - V(inventory) means the tenants that are listed.
      - V(registry) means every row of C(public.tenants), with what O(tenants) says about the same slug on top.
    type: str
    choices: [inventory, registry]
    default: inventory
  registry_create:
    description: Whether to create C(public.tenants), C(public.plans) and named plans if they are missing.
    type: bool
    default: false
  application_roles:
    description: Database users of the application. Each may read and change the data of every tenant.
    type: list
    elements: str
    default: []
  application_grant:
    description:
      - V(grants) gives the application V(USAGE) on each schema and data rights on what is in it, now and later.
      - V(membership) makes it a member of each tenant's role, so that it can C(SET ROLE).
    type: str
    choices: [grants, membership]
    default: grants
  shared_schemas:
    description: Schemas that follow the tenant's own in its C(search_path).
    type: list
    elements: str
    default: [public]
  schema_prefix:
    description: What precedes the slug in a schema's name.
    type: str
    default: tenant_
  role_prefix:
    description:
      - What precedes the slug in a role's name. Roles belong to the whole server, so two databases with equal slugs
        need two prefixes.
    type: str
    default: tenant_
  exclusive:
    description:
      - Whether rights of roles other than the tenant's and the application's are taken away, and those of the
        application beyond what it needs. PUBLIC never has any.
      - Without it they are only reported, in RV(tenants[].extras).
    type: bool
    default: false
  on_error:
    description:
      - Whether to V(continue) with the other tenants or to V(stop) after one failed. The task fails either way.
    type: str
    choices: [continue, stop]
    default: continue
  workers:
    description:
      - How many tenants are changed at the same time, each over a connection of its own. Where the server has fewer to
        give, fewer are used. What is returned does not depend on it.
      - With O(on_error=stop), tenants that were begun before the failure are finished.
    type: int
    default: 2
  canary:
    description: Slug of a tenant that is changed first and alone. If it fails, no other one is begun.
    type: str
  lock_timeout:
    description: How long a template may wait for a table that is in use.
    type: str
    default: 5s
  lock_wait:
    description:
      - Seconds to wait for another run that works on the same tenant, and for a statement outside of a transaction.
    type: int
    default: 300
  pooler:
    description:
      - A role as which a PgBouncer asks who may log in. It and C(slipway.pooler_auth) are made, a function that tells it the
        verifiers of tenants that may log in and of O(application_roles), and of nobody else. Needs a superuser.
    type: dict
    suboptions:
      role:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
attributes:
  check_mode:
    description: Plans exactly what a run would do, and changes nothing. A template's SQL is not tried.
    support: full
  diff_mode:
    description: Shows what changes for each tenant. Passwords are masked.
    support: full
  idempotent:
    description:
      - A second run changes nothing, unless O(tenants[].update_password) forces it where verifiers cannot be read.
    support: full
notes:
  - The connected role needs no superuser rights, only C(CREATEROLE) and C(CREATE) on the database.
  - Connect to PostgreSQL itself and not through a pooler in transaction mode.
seealso:
  - module: slipway.vps.postgres_tenant_info
"""

EXAMPLES = r"""
- name: Three tenants of the shop, in the stack's own database container
  slipway.vps.postgres_tenant:
    login_container: shop-data-postgres-1
    login_db: shop
    login_user: shop
    login_password: "{{ stack_secrets.POSTGRES_PASSWORD }}"
    application_roles: [shop]
    tenants:
      - slug: alpha
        plan: free
      - slug: bravo
        plan: pro
        custom_domain: bravo-books.example
      - slug: charlie
        state: suspended
    templates:
      - name: 0001_init.sql
        sql: CREATE TABLE products (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL)

- name: One tenant in a managed database
  slipway.vps.postgres_tenant:
    login_host: db.example.org
    login_db: shop
    login_user: shop_owner
    login_password: "{{ database_password }}"
    ssl_mode: verify-full
    ca_cert: /etc/ssl/certs/ca-certificates.crt
    name: alpha
    template_dir: /srv/shop/files/tenant_templates

- name: Remove a tenant with all its data
  slipway.vps.postgres_tenant:
    login_container: shop-data-postgres-1
    login_db: shop
    login_user: shop
    login_password: "{{ stack_secrets.POSTGRES_PASSWORD }}"
    name: alpha
    state: absent
    force: true
    export: false
"""

RETURN = r"""
tenants:
  description: One entry for each tenant, in the order of the list.
  returned: when the database could be read
  type: list
  elements: dict
  contains:
    slug:
      description: The tenant. For a row of the registry that cannot be a tenant, its subdomain.
      type: str
    state:
      description: The state that was asked for.
      type: str
    schema:
      description: Its schema.
      type: str
    role:
      description: Its role.
      type: str
    changed:
      description: Whether it was changed (in check mode, would be).
      type: bool
    actions:
      description: What was done, one sentence for each. Next to an error, what was done before it.
      type: list
      elements: str
    extras:
      description: Rights on the tenant that nobody asked for. They are left alone, and taken away with O(exclusive=true).
      type: list
      elements: str
    error:
      description: Why it failed, or null.
      type: str
    skipped:
      description: Whether it was left out because another one had failed.
      type: bool
    rejected:
      description:
        - Whether it is a row of the registry that cannot be a tenant, with the reason in RV(tenants[].error). The module
          warns of it and does not fail, because rows come from whoever signs up.
      type: bool
  sample:
    - slug: alpha
      state: present
      schema: tenant_alpha
      role: tenant_alpha
      changed: true
      actions: [run 0002_orders.sql]
      extras: []
      error: null
      skipped: false
      rejected: false
database:
  description: What was done to the database as a whole.
  returned: when the database could be read
  type: list
  elements: str
  sample: [create schema slipway]
summary:
  description: How many tenants there were, and what became of them.
  returned: when the database could be read
  type: dict
  sample: {total: 3, changed: 1, failed: 0, skipped: 0, unchanged: 2}
queries:
  description: How many statements were sent.
  returned: when the database could be read
  type: int
  sample: 13
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import ARGUMENT_SPEC
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import engine

TENANT = {
    "subdomain": {"type": "str"},
    "custom_domain": {"type": "str"},
    "plan": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "suspended", "absent"], "default": "present"},
    "login": {"type": "bool", "default": False},
    "password": {"type": "str", "no_log": True},
    "update_password": {"type": "bool", "default": False, "no_log": False},
    "connection_limit": {"type": "int", "default": -1},
    "statement_timeout": {"type": "str"},
    "columns": {"type": "dict"},
}
LISTED = {**TENANT, "slug": {"type": "str", "required": True}, "force": {"type": "bool"}, "export": {"type": "bool"}}
TEMPLATE = {"name": {"type": "str", "required": True}, "sql": {"type": "str", "required": True}}


def argument_spec() -> dict[str, Any]:
    return {
        **ARGUMENT_SPEC,
        **TENANT,
        "name": {"type": "str"},
        "tenants": {"type": "list", "elements": "dict", "default": [], "options": LISTED},
        "force": {"type": "bool", "default": False},
        "export": {"type": "bool", "default": True},
        "templates": {"type": "list", "elements": "dict", "default": [], "options": TEMPLATE},
        "template_dir": {"type": "path"},
        "source": {"type": "str", "choices": ["inventory", "registry"], "default": "inventory"},
        "registry_create": {"type": "bool", "default": False},
        "application_roles": {"type": "list", "elements": "str", "default": []},
        "application_grant": {"type": "str", "choices": ["grants", "membership"], "default": "grants"},
        "shared_schemas": {"type": "list", "elements": "str", "default": ["public"]},
        "schema_prefix": {"type": "str", "default": "tenant_"},
        "role_prefix": {"type": "str", "default": "tenant_"},
        "exclusive": {"type": "bool", "default": False},
        "on_error": {"type": "str", "choices": ["continue", "stop"], "default": "continue"},
        "workers": {"type": "int", "default": 2},
        "canary": {"type": "str"},
        "lock_timeout": {"type": "str", "default": "5s"},
        "lock_wait": {"type": "int", "default": 300},
        "pooler": {
            "type": "dict",
            "options": {
                "role": {"type": "str", "required": True},
                "password": {"type": "str", "required": True, "no_log": True},
            },
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(), mutually_exclusive=[("tenants", "name")], supports_check_mode=True
    )
    try:
        result = engine.converge(module.params, Emitter.null(), module.check_mode)
    except SlipwayError as error:
        module.fail_json(msg=str(error))
    for tenant in result["tenants"]:
        if tenant["rejected"]:
            module.warn(f"The row {tenant['slug']!r} of public.tenants cannot be a tenant: {tenant['error']}")
    extras = [f"{tenant['slug']}: {extra}" for tenant in result["tenants"] for extra in tenant["extras"]]
    if extras:
        more = f" ({len(extras) - 1} more)" if len(extras) > 1 else ""
        module.warn(
            f"There are rights that nobody asked for, {extras[0]}{more}. With exclusive: true they are taken away."
        )
    failed = engine.verdict(result)
    if failed:
        module.fail_json(msg=failed, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
