#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: health_probe
short_description: Ask many services at once whether they are well
version_added: 0.1.0
description:
  - Runs all probes at the same time, within a limit, and has a result for every one of them when its time is up,
    also when a server never answers or sends one byte a second.
  - Only reads. Nothing is changed on what is probed.
  - Values of secret options, and the values in a URL's query, never appear in results, logs and report files.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
  - slipway.vps.health_probe
options:
  concurrency:
    description: How many probes run at the same time.
    type: int
    default: 32
  timeout:
    description: Seconds for one attempt of a probe that has no O(probes[].timeout) of its own.
    type: float
    default: 5.0
  connect_timeout:
    description: Seconds for opening a connection, for a probe that has no O(probes[].connect_timeout) of its own.
    type: float
    default: 3.0
  deadline:
    description:
      - Seconds for the whole run. Probes that have no result by then fail and say so.
      - Without it the run takes as long as its slowest probe.
    type: float
  fail_on:
    description:
      - The status at which the task fails. V(fail) accepts warnings, V(warn) accepts none, V(never) always succeeds.
    type: str
    default: fail
    choices: [fail, warn, never]
  secrets:
    description: Further values to mask wherever they appear, such as a token in a URL's path.
    type: list
    elements: str
    default: []
  output:
    description:
      - Report files to write on the machine that runs the probes, with mode 0644. They do not count as a change.
      - In check mode they are not written.
    type: dict
    suboptions:
      json:
        description: Path of a JSON report.
        type: path
      prometheus:
        description: Path of a Prometheus text file, for the textfile collector of node_exporter.
        type: path
      junit:
        description: Path of a JUnit XML report.
        type: path
requirements:
  - python3-psycopg2 for type V(postgres)
  - python3-redis for type V(redis)
  - python3-docker for type V(container), and for O(probes[].login_container)
notes:
  - Environment variables for HTTP proxies are not used, so that the probe sees the service and not a proxy.
seealso:
  - module: ansible.builtin.uri
  - module: ansible.builtin.wait_for
"""

EXAMPLES = r"""
- name: Probe a site through Nginx on the host itself
  slipway.vps.health_probe:
    probes:
      - name: api
        type: http
        target: https://api.example.org/health
        address: 127.0.0.1
        json:
          status: ok
      - name: certificate
        type: tls
        target: api.example.org
        warn_days: 20
      - name: database
        type: postgres
        target: db.example.org
        login_user: shop
        login_password: "{{ shop_database_password }}"
        login_db: shop
      - name: root file system
        type: disk
        target: /

- name: Wait until a service is up and stays up
  slipway.vps.health_probe:
    probes:
      - name: api
        type: http
        target: http://127.0.0.1:8080/ready
        retries: 30
        interval: 2
        successes: 3

- name: See from outside that the database is not published, and keep a report
  slipway.vps.health_probe:
    fail_on: never
    probes:
      - name: database is closed
        type: tcp
        target: shop.example.org:5432
        open: false
    output:
      junit: /tmp/probes.xml
  delegate_to: localhost
  become: false
"""

RETURN = r"""
status:
  description: The worst status of all probes, one of V(ok), V(warn) and V(fail).
  returned: when the probes are valid
  type: str
  sample: ok
summary:
  description: How many probes there were, how many have each status, and how long the run took.
  returned: when the probes are valid
  type: dict
  sample: {total: 3, ok: 3, warn: 0, fail: 0, seconds: 0.041}
probes:
  description: One result per probe, in the order in which they were given.
  returned: when the probes are valid
  type: list
  elements: dict
  contains:
    name:
      description: Name of the probe.
      type: str
    type:
      description: Type of the probe.
      type: str
    target:
      description: What was probed, without secrets.
      type: str
    group:
      description: The word that was given as the probe's group.
      type: str
    status:
      description: V(ok), V(warn) or V(fail).
      type: str
    latency_ms:
      description: Milliseconds that the last attempt took.
      type: float
    attempts:
      description: How many attempts were made. None was made when the run's deadline passed before.
      type: int
    expected:
      description: What a good answer is, in a few words.
      type: str
    message:
      description: What was seen, in one sentence.
      type: str
    hint:
      description: What to try when it is not well.
      type: str
    observed:
      description: Figures and words that were seen. They depend on the type.
      type: dict
  sample:
    - name: api
      type: http
      target: https://api.example.org/health
      group: ""
      status: ok
      latency_ms: 12.4
      attempts: 1
      expected: HTTP 2xx
      message: HTTP 200
      hint: ""
      observed: {status: 200}
table:
  description:
    - Rows for people, the worst first, with the columns status, probe, milliseconds, what was expected, and what was
      seen and can be tried.
  returned: when the probes are valid
  type: list
  elements: list
  sample: [[ok, api, "12", HTTP 2xx, HTTP 200]]
reports:
  description: Paths of the report files that were written.
  returned: when the probes are valid
  type: list
  elements: str
  sample: [/tmp/probes.xml]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import engine, report
from ansible_collections.slipway.vps.plugins.module_utils.probe.arguments import probe_options
from ansible_collections.slipway.vps.plugins.module_utils.probe.redact import shown_url


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "probes": {"type": "list", "elements": "dict", "required": True, "options": probe_options()},
            "concurrency": {"type": "int", "default": 32},
            "timeout": {"type": "float", "default": 5.0},
            "connect_timeout": {"type": "float", "default": 3.0},
            "deadline": {"type": "float"},
            "fail_on": {"type": "str", "default": "fail", "choices": ["fail", "warn", "never"]},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "output": {
                "type": "dict",
                "options": {"json": {"type": "path"}, "prometheus": {"type": "path"}, "junit": {"type": "path"}},
            },
        },
        supports_check_mode=True,
    )
    invocation = shown_arguments(module.params)
    try:
        found = engine.check(engine.Request(**{key: module.params[key] for key in engine.FIELDS}))
        reports = [] if module.check_mode else report.write(found, module.params["output"] or {})
    except SlipwayError as error:
        module.fail_json(msg=str(error), invocation=invocation)
    result = {**found.as_dict(), "table": report.rows(found), "reports": reports, "invocation": invocation}
    if not found.passes(module.params["fail_on"]):
        module.fail_json(msg=found.sentence(), **result)
    module.exit_json(changed=False, **result)


def shown_arguments(params: dict[str, Any]) -> dict[str, Any]:
    """What -vvv prints of the arguments: of each probe only what it is, since a URL may hold a token."""
    probes = [
        {"name": probe["name"], "type": probe["type"], "target": shown_url(probe["target"] or "")}
        for probe in params["probes"]
    ]
    return {"module_args": {**params, "probes": probes}}


if __name__ == "__main__":
    main()
