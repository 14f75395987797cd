#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_check
short_description: Find what would go wrong, before anything is changed
version_added: 0.1.0
description:
  - Looks at the system, memory, cores, disk, clock and ports, at the DNS records of domains, at services that have to
    be reachable, at secrets that have to be there and at an S3 bucket.
  - Returns every problem at once, each as a sentence that says what to do.
  - Only reads. It needs nothing on the host but Python; the check V(s3) also needs boto3 where it runs.
  - The module does not fail over a problem. Role C(slipway.vps.preflight) does so by policy.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
  - slipway.vps.s3
options:
  checks:
    description: What to look at.
    type: list
    elements: str
    choices: [system, memory, cores, disk, clock, dns, ports, endpoints, secrets, s3]
    default: [system, memory, cores, disk, clock, dns, ports, endpoints, secrets]
  policies:
    description: By check, V(fail), V(warn) or V(ignore). A check that is not named is V(fail).
    type: dict
    default: {}
  systems:
    description: Supported systems, as the C(ID) of C(/etc/os-release) with a list of C(VERSION_ID).
    type: dict
    default: {}
  memory_mb:
    description: Memory that is needed, in MiB.
    type: int
    default: 0
  cores:
    description: Processor cores that are needed.
    type: int
    default: 0
  disk_gb:
    description: Free disk space that is needed, in GiB.
    type: float
    default: 0
  disk_path:
    description: Where it is needed.
    type: path
    default: /
  now:
    description: The right time, in seconds since the epoch. With 0 the clock is not compared.
    type: float
    default: 0
  clock_seconds:
    description: Deviation that is accepted.
    type: float
    default: 30
  domains:
    description: Names that have to point to this host.
    type: list
    elements: str
    default: []
  addresses:
    description: Addresses that lead to this host without being its own.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports that have to be free.
    type: list
    elements: int
    default: []
  port_owners:
    description: Programs that may have taken them.
    type: list
    elements: str
    default: []
  endpoints:
    description: HTTPS services that have to be reachable from the host.
    type: list
    elements: dict
    default: []
    suboptions:
      what:
        description: What it is, as the begin of a sentence.
        type: str
        required: true
      url:
        description: Address, beginning with C(https).
        type: str
        required: true
      ca:
        description: Certificates of its authority as text, instead of the system's.
        type: str
        default: ""
      hint:
        description: What to do if it does not answer.
        type: str
        default: ""
  secrets:
    description:
      - By name of a secret, what is wrong with it, as P(slipway.vps.secret_faults#filter) says. The values themselves
        are not passed.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Look for what would go wrong
  slipway.vps.preflight_check:
    systems:
      debian: ["12", "13"]
    memory_mb: 2000
    domains: [shop.example.org]
    ports: [80, 443]
    port_owners: [nginx]
    policies:
      dns: warn
  register: found
"""

RETURN = r"""
problems:
  description: Every problem that is not ignored.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: The check that found it.
      type: str
    policy:
      description: V(fail) or V(warn).
      type: str
    message:
      description: What is wrong and what to do.
      type: str
failures:
  description: Messages of the problems whose policy is V(fail).
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import preflight, preflight_s3
from ansible_collections.slipway.vps.plugins.module_utils.s3.options import ARGUMENT_SPEC as S3_ARGUMENT_SPEC
from ansible_collections.slipway.vps.plugins.module_utils.s3.options import S3Options

HOST_CHECKS = ["system", "memory", "cores", "disk", "clock", "dns", "ports", "endpoints", "secrets"]
POLICIES = ("fail", "warn", "ignore")
REQUIREMENTS = (
    *("systems", "memory_mb", "cores", "disk_gb", "disk_path", "now", "clock_seconds"),
    *("domains", "addresses", "ports", "port_owners", "endpoints", "secrets"),
)


def find(params: dict) -> list[preflight.Problem]:
    for check, policy in params["policies"].items():
        if policy not in POLICIES:
            raise SlipwayError(f"The policy {policy!r} of {check} is not known.", hint=f"Use {', '.join(POLICIES)}.")
    wanted = [name for name in params["checks"] if params["policies"].get(name) != "ignore"]
    found = preflight.inspect(preflight.Requirements(**{name: params[name] for name in REQUIREMENTS}), wanted)
    if "s3" in wanted:
        found += preflight_s3.inspect(S3Options.from_params(params))
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "list", "elements": "str", "choices": [*HOST_CHECKS, "s3"], "default": HOST_CHECKS},
            "policies": {"type": "dict", "default": {}},
            "systems": {"type": "dict", "default": {}},
            "memory_mb": {"type": "int", "default": 0},
            "cores": {"type": "int", "default": 0},
            "disk_gb": {"type": "float", "default": 0},
            "disk_path": {"type": "path", "default": "/"},
            "now": {"type": "float", "default": 0},
            "clock_seconds": {"type": "float", "default": 30},
            "domains": {"type": "list", "elements": "str", "default": []},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "port_owners": {"type": "list", "elements": "str", "default": []},
            "endpoints": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "what": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "ca": {"type": "str", "default": ""},
                    "hint": {"type": "str", "default": ""},
                },
            },
            "secrets": {"type": "dict", "default": {}, "no_log": False},
            **S3_ARGUMENT_SPEC,
        },
        supports_check_mode=True,
    )
    try:
        found = find(module.params)
    except SlipwayError as error:
        module.fail_json(msg=str(error), problems=[], failures=[])
    policies = module.params["policies"]
    problems = [
        {"check": problem.check, "policy": policies.get(problem.check, "fail"), "message": problem.message}
        for problem in found
    ]
    for problem in problems:
        if problem["policy"] == "warn":
            module.warn(problem["message"])
    failures = [problem["message"] for problem in problems if problem["policy"] == "fail"]
    module.exit_json(changed=False, problems=problems, failures=failures)


if __name__ == "__main__":
    main()
