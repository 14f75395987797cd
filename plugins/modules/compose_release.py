#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_release
short_description: Release a Compose stack behind Nginx without losing a request
version_added: 0.1.0
description:
  - Puts a team's own, unedited Compose file into service in one of two slots (blue and green), proves that it is
    healthy, and
    only then moves the traffic by a flag file that Nginx looks at. The slot before is drained, stopped and kept.
  - A release that fails is taken back by itself, before or after the traffic moved.
  - The work is done by the installed agent in a transient systemd unit, so that it survives a lost connection.
    Whatever cuts it
    off, the next run or the boot unit finishes or reverts it.
  - A run that finds nothing to do starts no container and no job.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
options:
  name:
    description: Name of the stack. It names the directory below C(/srv) and the Compose projects.
    type: str
    required: true
  action:
    description:
      - V(deploy) makes O(release) serve.
      - V(rollback) brings back a kept release with its images, Compose file and plain environment; it never migrates.
      - V(rotate) releases what serves again with the new values in O(secrets), from the same digests, without asking the
        registry and without migrating. If the password in O(database) is among them, the role gets it in the database too,
        while the old slot stays let in.
      - V(data_services) applies what changed of O(data_services), which no release does. Each of them is backed up,
        stopped, replaced and probed, or put back; visitors see the maintenance page meanwhile.
    type: str
    choices: [deploy, rollback, rotate, data_services]
    default: deploy
  domain:
    description: Main host name. Required to deploy.
    type: str
  compose:
    description: Text of the Compose file. Required to deploy.
    type: str
  release:
    description:
      - Name of the release, for example an image tag; the Compose file sees it as C(${RELEASE}). Required to deploy.
    type: str
  digests:
    description:
      - Digests of the images of O(release) by service, as another environment has released them; a name before the digest
        does not count. Their tags are not asked for.
      - Services that are left out have their tags resolved.
    type: dict
    default: {}
  env:
    description: Plain values for the variables of the Compose file.
    type: dict
    default: {}
  secrets:
    description: Secret values for the variables of the Compose file. They are stored with mode 0600 and never shown.
    type: dict
    default: {}
  routes:
    description: Which host and path leads to which service.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the route, unique in the stack. By default made of service and port.
        type: str
      host:
        description: Host name, or the word V(tenants) for the hosts of all tenants. By default O(domain).
        type: str
      path:
        description: Path prefix.
        type: str
        default: /
      service:
        description: Service of the Compose file. Needed unless there is O(routes[].root).
        type: str
      port:
        description: Port on which the service listens in its container. Needed with O(routes[].service).
        type: int
      root:
        description:
          - A folder of the project directory that Nginx itself serves, such as the build of a web client. It needs an
            C(index.html), and it changes over with the release.
        type: str
      fallback:
        description: File of O(routes[].root) that is served where there is none, such as C(index.html).
        type: str
      health:
        description:
          - What the service answers when it can take traffic, as a path, or as a dictionary with C(path), C(status) (a
            list of codes such as V(204) or classes such as V(2xx); a status from 200 to 399 by default), C(body) (a
            regular expression that is found in the body) and C(headers) (name and regular expression).
        type: raw
        default: /
      websocket:
        description: Whether the route carries WebSockets.
        type: bool
        default: false
      sticky:
        description:
          - What keeps a visitor with one replica, V(address) of the client, or a V(cookie) that Nginx gives; V(false) for
            nothing. V(true) means V(address).
        type: raw
        default: false
      rate_limit:
        description: Requests that one client address may make, for example V(10r/s).
        type: str
      rate_burst:
        description: Requests above O(routes[].rate_limit) that are let through at once.
        type: int
        default: 20
      max_body_size:
        description: Largest request body, for example V(5m).
        type: str
      timeout:
        description: Seconds that Nginx waits for the service; 60, or 3600 for WebSockets.
        type: int
      internal_paths:
        description:
          - Paths below O(routes[].path), such as C(/metrics), that are answered to the host itself and refused to others.
        type: list
        elements: str
        default: []
  replicas:
    description: Number of containers by service.
    type: dict
    default: {}
  limits:
    description: Resource limits by service, each with C(cpus) and C(memory).
    type: dict
    default: {}
  data_services:
    description: Services that hold data. They are started if they are missing and never touched by a release.
    type: list
    elements: str
    default: []
  data_upgrade:
    description:
      - Confirms a new major version of PostgreSQL with O(action=data_services); it has to be the name of the stack.
    type: str
  adopt_project:
    description:
      - A Compose project of this host that the first release takes over, with its volumes. Ignored once a release
        serves.
    type: str
  adopt_without:
    description: Services of O(adopt_project) that the new Compose file has no more; they end with it.
    type: list
    elements: str
    default: []
  exclusive_services:
    description: Services that must run once only; they change over after the traffic.
    type: list
    elements: str
    default: []
  migrate_dump:
    description:
      - Whether the database is backed up before O(migrate) or the templates of O(tenants) run, to where role
        P(slipway.vps.backup#role) is configured to. RV(dump) and the audit log name the backup.
    type: bool
    default: false
  migrate:
    description:
      - The command that migrates the database, once, from the new image, before any traffic moves. It has C(service),
        C(command)
        (list or string; the service's own by default) and C(timeout) in seconds.
    type: dict
  hooks:
    description:
      - Commands at moments of a release, C(before_migrate), C(before_switch) and C(after_switch), each a list of
        dictionaries like
        O(migrate).
    type: dict
    default: {}
  files:
    description: Checksums by path of the files in the project directory, so that a changed file makes a new release.
    type: dict
    default: {}
  tenants:
    description:
      - Parameters of M(slipway.vps.postgres_tenant). When given, tenants and their SQL templates are brought up to
        date as a phase of
        the release, before any traffic moves.
    type: dict
    default: {}
  database:
    description:
      - Where the application keeps its data, for O(action=rotate).
    type: dict
    suboptions:
      service:
        description: Data service of the Compose file. Empty means a server outside of the stack.
        type: str
      host:
        description: That server.
        type: str
      name:
        description: Database.
        type: str
      user:
        description: Role of the application.
        type: str
      password:
        description: Its new password.
        type: str
  contract:
    description:
      - Marks the release as one that removes something from the database; no rollback crosses it without O(force).
    type: bool
    default: false
  force:
    description: Release again although nothing changed, or roll back across a release marked as contract.
    type: bool
    default: false
  rollback_to:
    description: Number or name of the release to go back to. By default the newest older one that served.
    type: str
  rollback_from:
    description:
      - Roll back only if the release with this number serves, and else leave everything as it is. So what one run put
        into service can be taken back without touching what somebody else did since.
    type: int
  rollback_secrets:
    description: Whether a rollback runs with today's secrets or with those of that release.
    type: str
    choices: [current, release]
    default: current
  lock_wait:
    description: Seconds to wait for another release of this stack to end.
    type: int
    default: 60
  retain:
    description: Releases that are kept.
    type: int
    default: 5
  health_timeout:
    description: Seconds that the new slot has to become healthy.
    type: int
    default: 120
  probe_timeout:
    description: Seconds that the routes have to answer well once the containers of the new slot are healthy.
    type: int
    default: 30
  probe_successes:
    description: Answers in a row that each health path must give.
    type: int
    default: 3
  boot_cpu_shares:
    description:
      - CPU share (a weight; 1024 is normal) of the new slot's containers while they boot and are probed. An idle host
        still gives them all of its CPU; on a busy one the slot that serves comes first.
      - Before the traffic moves each container gets the C(cpu_shares) that the Compose file asks for. V(0) bounds nothing.
    type: int
    default: 128
  observe:
    description:
      - Seconds for which the new release is watched under traffic before the old slot is let go; in a rollback 2 at most.
    type: int
    default: 5
  drain_http:
    description: Seconds that requests in flight on the old slot get.
    type: int
    default: 30
  drain_websocket:
    description: Seconds that WebSockets on the old slot get.
    type: int
    default: 60
  min_free_disk_mb:
    description:
      - Free disk space that must be there before a release starts, beside what its images need as far as their registry
        tells their size.
    type: int
    default: 1024
  min_free_memory_mb:
    description:
      - Available memory that must be there before a release starts, beside what a second slot needs (as much as the one
        that serves uses).
    type: int
    default: 128
  log_max_size:
    description: Size at which a container's log is rotated, where the Compose file says nothing.
    type: str
    default: 10m
  log_max_files:
    description: Rotated logs kept by container.
    type: int
    default: 5
  requested_by:
    description: Who asked for it, for the audit log.
    type: str
attributes:
  check_mode:
    description: Tells what would be done, tags resolved to digests, without touching anything.
    support: full
  diff_mode:
    description:
      - Shows inputs, digests, the Compose file and the Nginx files before and after; of secrets only a keyed
        fingerprint.
    support: full
  idempotent:
    description: The same inputs change nothing while everything is up and in place.
    support: full
requirements:
  - the agent (role P(slipway.vps.agent#role))
  - Docker Engine with Compose 2.24.4 or newer
  - python3-docker
  - Nginx
seealso:
  - module: slipway.vps.compose_release_info
  - module: slipway.vps.postgres_tenant
"""

EXAMPLES = r"""
- name: Release the shop
  slipway.vps.compose_release:
    name: shop
    domain: shop.example.org
    release: 1.4.2
    compose: "{{ lookup('ansible.builtin.file', 'compose.yml') }}"
    env:
      LOG_LEVEL: info
    secrets:
      DB_PASSWORD: "{{ vault_db_password }}"
    data_services: [postgres, redis]
    migrate:
      service: api
      command: [./api, migrate]
    routes:
      - {host: api.shop.example.org, service: api, port: 8080, health: /health}
      - service: web
        port: 3000
        health:
          path: /health
          body: '"status": ?"ok"'
          headers: {X-Release: "^1[.]4[.]2$"}

- name: Go back to the release before
  slipway.vps.compose_release:
    name: shop
    action: rollback
"""

RETURN = r"""
release:
  description: Number of the release that serves (or would).
  returned: success
  type: int
release_name:
  description: Its name.
  returned: success
  type: str
previous:
  description: Number of the release that served before, if any.
  returned: success
  type: int
slot:
  description: The slot that serves, V(blue) or V(green).
  returned: success
  type: str
phases:
  description: What was done, each phase with C(name), C(seconds) and C(result).
  returned: success
  type: list
  elements: dict
rolled_back:
  description: Whether the traffic had moved and was moved back. A failed release tells it too.
  returned: always
  type: bool
reasons:
  description: Why something is (or would be) done, as sentences.
  returned: success
  type: list
  elements: str
interrupted:
  description:
    - How earlier releases ended whose connection to the controller was lost, as sentences. Each is told once.
  returned: success
  type: list
  elements: str
warnings_of_release:
  description: What is allowed and yet worth knowing, as sentences.
  returned: success
  type: list
  elements: str
dump:
  description: Id of the backup that was made before the migration; empty if none was.
  returned: when a job was started
  type: str
services:
  description: The data services that were changed, each with its images, backup, kept volumes and seconds.
  returned: when O(action=data_services) changed any
  type: list
  elements: dict
adoption:
  description: What was taken over of O(adopt_project), and the seconds for which nothing served.
  returned: when the release took a project over
  type: dict
diagnosis:
  description:
    - The containers that are meant, with C(container), C(service), C(status), C(health), C(exit_code) and C(restarts).
    - Their health logs and the last 100 lines of their logs are printed, but not returned, when the play runs it.
  returned: when a release failed because of a container
  type: list
  elements: dict
probe:
  description: The last answer of a health path, with C(address), C(status), C(headers), C(body) and C(complaint).
  returned: when a release failed because of it
  type: dict
failed_phase:
  description: The phase in which a release was given up.
  returned: when a release failed
  type: str
job:
  description: Id of the agent's job.
  returned: when a job was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import data_services, planning, unattended

ROUTE = {
    "name": {"type": "str"},
    "host": {"type": "str"},
    "path": {"type": "str", "default": "/"},
    "service": {"type": "str"},
    "port": {"type": "int"},
    "root": {"type": "str"},
    "fallback": {"type": "str"},
    "health": {"type": "raw", "default": "/"},
    "websocket": {"type": "bool", "default": False},
    "sticky": {"type": "raw", "default": False},
    "rate_limit": {"type": "str"},
    "rate_burst": {"type": "int", "default": 20},
    "max_body_size": {"type": "str"},
    "timeout": {"type": "int"},
    "internal_paths": {"type": "list", "elements": "str", "default": []},
}
DATABASE = {
    **{name: {"type": "str"} for name in ("service", "host", "name", "user")},
    "password": {"type": "str", "no_log": True},
}
OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "action": {"type": "str", "choices": ["deploy", "rollback", "rotate", "data_services"], "default": "deploy"},
    "domain": {"type": "str"},
    "compose": {"type": "str"},
    "release": {"type": "str"},
    "digests": {"type": "dict", "default": {}},
    "env": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "routes": {"type": "list", "elements": "dict", "default": [], "options": ROUTE},
    "replicas": {"type": "dict", "default": {}},
    "limits": {"type": "dict", "default": {}},
    "data_services": {"type": "list", "elements": "str", "default": []},
    "data_upgrade": {"type": "str"},
    "adopt_project": {"type": "str"},
    "adopt_without": {"type": "list", "elements": "str", "default": []},
    "exclusive_services": {"type": "list", "elements": "str", "default": []},
    "migrate": {"type": "dict"},
    "migrate_dump": {"type": "bool", "default": False},
    "hooks": {"type": "dict", "default": {}},
    "files": {"type": "dict", "default": {}},
    "tenants": {"type": "dict", "default": {}},
    "database": {"type": "dict", "options": DATABASE},
    "contract": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "rollback_to": {"type": "str"},
    "rollback_from": {"type": "int"},
    "rollback_secrets": {"type": "str", "choices": ["current", "release"], "default": "current", "no_log": False},
    "lock_wait": {"type": "int", "default": 60},
    "retain": {"type": "int", "default": 5},
    "health_timeout": {"type": "int", "default": 120},
    "probe_timeout": {"type": "int", "default": 30},
    "probe_successes": {"type": "int", "default": 3},
    "boot_cpu_shares": {"type": "int", "default": 128},
    "observe": {"type": "int", "default": 5},
    "drain_http": {"type": "int", "default": 30},
    "drain_websocket": {"type": "int", "default": 60},
    "min_free_disk_mb": {"type": "int", "default": 1024},
    "min_free_memory_mb": {"type": "int", "default": 128},
    "log_max_size": {"type": "str", "default": "10m"},
    "log_max_files": {"type": "int", "default": 5},
    "requested_by": {"type": "str"},
    **jobs.ARGUMENT_SPEC,
}
NOT_FOR_THE_ENGINE = ("name", *jobs.ARGUMENT_SPEC)


def main() -> None:
    module = AnsibleModule(
        argument_spec=OPTIONS,
        required_if=[(*("action", action), ("domain", "compose", "release")) for action in ("deploy", "data_services")],
        supports_check_mode=True,
        # The parameters are not written to the journal, for before `hide` they would be.
        no_log=True,
    )
    hide(module)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        details = {key: value for key, value in error.details.items() if key not in ("msg", "failed")}
        module.fail_json(msg=str(error), **{"rolled_back": False, **details})


def hide(module: AnsibleModule) -> None:
    """Only the passwords among the parameters of the tenants are secret.

    Declared as secret as a whole, their plain words (the name of the database, of a plan) would be blacked out of
    everything that is told: digests, paths and sentences.
    """
    tenants = module.params["tenants"]
    pooler = (tenants.get("pooler") or {}).get("password")
    found = [tenants.get("login_password"), pooler, *(one.get("password") for one in tenants.get("tenants") or [])]
    module.no_log_values.update(str(password) for password in found if password)


def run(module: AnsibleModule) -> dict[str, Any]:
    request = {key: value for key, value in module.params.items() if key not in NOT_FOR_THE_ENGINE}
    request["stack"] = module.params["name"]
    interrupted = unattended.sentences(module.params["name"], tell=not module.check_mode)
    for text in interrupted:
        module.warn(text)
    if module.params["action"] == data_services.ACTION:
        plan = data_services.plan(request)
    else:
        # A diff that is shown has to be complete, and for that tags are resolved.
        plan = planning.plan(request, check=module.check_mode or module._diff)
    found: dict[str, Any] = {
        "changed": plan.changed,
        "release": plan.release,
        "release_name": plan.release_name,
        "previous": plan.previous,
        "slot": plan.slot,
        "phases": [],
        "rolled_back": False,
        "reasons": plan.reasons,
        "interrupted": interrupted,
        "warnings_of_release": plan.warnings,
        "diff": plan.diff,
    }
    if module.check_mode or not plan.changed:
        return found
    action = module.params["action"]
    label = f"{action} of {module.params['name']} {plan.release_name}".strip()
    return {**found, **jobs.submit(f"release.{action}", request, label, module.params)}


if __name__ == "__main__":
    main()
