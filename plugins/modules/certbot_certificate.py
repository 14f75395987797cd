#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certbot_certificate
short_description: Obtain certificates with certbot, a whole list at once
version_added: 0.1.0
description:
  - Compares the wanted certificates with what certbot keeps on the host (names in the live certificate, end, authority,
    way of renewal, key type) and runs certbot only for those that differ.
  - Proves control of the names over HTTP with files in a directory that the web server already serves, so that nothing is
    stopped, or by the DNS with one of certbot's plugins or programs of your own. certbot's own timer renews the
    certificates later on.
  - What was asked and what became of it is noted in C(/var/lib/slipway/certificates). A certificate that the authority's
    limits do not allow yet is not asked for, and its C(error) says when it may be.
  - Nginx serves with copies in C(/etc/nginx/slipway/certificates), which are replaced only by a certificate and a key that
    belong together. What is damaged of certbot's own files is mended from its archive or, if nothing there is whole, moved
    to C(/etc/letsencrypt/slipway-set-aside) and obtained anew; the account is kept.
  - A certificate that is refused does not stop the others. Its C(error) names the domain, what the authority said and what
    to do next.
author: Slipway contributors (!UNKNOWN)
options:
  certificates:
    description: Certificates that should exist, or should not.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the certificate, a directory in C(/etc/letsencrypt/live).
        type: str
        required: true
      domains:
        description: Names in the certificate. Needed unless O(certificates[].state=absent). A wildcard needs O(dns).
        type: list
        elements: str
        default: []
      state:
        description: Whether the certificate should exist. Remove what uses it before you make it V(absent).
        type: str
        choices: [present, absent]
        default: present
      challenge:
        description: How control of the names is proved. The default is V(dns) if there is a wildcard, else O(challenge).
        type: str
        choices: [http, dns]
      same_address_as:
        description:
          - A host name. Each of the domains has to have an address in common with it before the authority is asked, which
            counts names that it cannot find here. Not looked at for V(dns).
        type: str
  challenge:
    description: How control of names is proved where the certificate does not say.
    type: str
    choices: [http, dns]
    default: http
  dns:
    description: Who answers the DNS challenge.
    type: dict
    suboptions:
      plugin:
        description: One of certbot's DNS plugins, which has to be installed, such as V(rfc2136) or V(cloudflare).
        type: str
        default: ""
      credentials:
        description: File on the host with what the plugin needs to change the zone. Nobody else should be able to read it.
        type: path
      propagation:
        description: Seconds until an answer is known to all servers of the zone. Not used for V(route53).
        type: int
        default: 60
      auth_hook:
        description:
          - Program on the host that puts an answer into the zone and ends when it is known; certbot gives it
            C(CERTBOT_DOMAIN) and C(CERTBOT_VALIDATION) in its environment. Used when there is no O(dns.plugin).
        type: path
      cleanup_hook:
        description: Program on the host that takes the answer away again.
        type: path
  limits:
    description: What the authority bears. The defaults are those of Let's Encrypt, or V(0), which is no limit, for another one.
    type: dict
    suboptions:
      certificates_per_domain:
        description: New certificates for names in one registered domain, a week. Let's Encrypt's is 50.
        type: int
      duplicates:
        description: Certificates for exactly the same names, a week. Let's Encrypt's is 5.
        type: int
      orders:
        description: Orders of the account, in three hours. Let's Encrypt's is 300.
        type: int
      failures:
        description: Failed proofs of one name, an hour. Let's Encrypt's is 5.
        type: int
  grace_days:
    description:
      - An authority that cannot be reached is a warning as long as Nginx has a certificate for all of the names with so many
        days left, and a failure otherwise.
    type: int
    default: 7
  renewal_info:
    description:
      - Whether the authority is asked if it wants a certificate replaced before its time, as it does with a revoked one (RFC
        9773). That is one request for each of the certificates, without an account, and none if there are more than 50.
    type: bool
    default: true
  acme_directory:
    description: Directory address of the certificate authority.
    type: str
    default: https://acme-v02.api.letsencrypt.org/directory
  email:
    description: Address that the authority may write to. Without it the account has none.
    type: str
    default: ""
  webroot:
    description: Directory that the web server serves at C(/.well-known/acme-challenge/) of every name on port 80.
    type: path
    default: /var/www/letsencrypt
  key_type:
    description: Type of the private key.
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  elliptic_curve:
    description: Curve of an ECDSA key.
    type: str
    choices: [secp256r1, secp384r1]
    default: secp256r1
  ca_file:
    description: File on the host with the certificates that the authority's own HTTPS is checked against, instead of the system's.
    type: path
  timeout:
    description: Seconds that one certificate may take.
    type: float
    default: 180
  on_error:
    description:
      - With V(fail) the module fails at the end if a certificate was refused. With V(report) it succeeds, and
        RV(failed_certificates) has the names.
    type: str
    choices: [fail, report]
    default: fail
attributes:
  check_mode:
    description: Says which certificates would be obtained and why. The authority is not asked.
    support: full
  diff_mode:
    description: Shows the names of each certificate before and after.
    support: full
  idempotent:
    description: A certificate that is as wanted is left alone, also when certbot would renew it soon.
    support: full
seealso:
  - name: Certificates
    description: The guide to certificates of this collection.
    link: https://github.com/slipway/vps/blob/main/docs/certificates.md
"""

EXAMPLES = r"""
- name: Obtain the certificates of the shop
  slipway.vps.certbot_certificate:
    email: ops@example.org
    certificates:
      - name: shop.example.org
        domains: [shop.example.org, api.shop.example.org]
      - name: tenant-shop-alpha
        domains: [alpha.shop.example.org]

- name: Obtain one certificate for all subdomains, and one for a custom domain that has to lead to the shop
  slipway.vps.certbot_certificate:
    email: ops@example.org
    dns:
      plugin: rfc2136
      credentials: /etc/letsencrypt/slipway-dns-credentials
      propagation: 10
    certificates:
      - name: wildcard-shop
        domains: ["*.shop.example.org"]
      - name: domain-shop-alpha
        domains: [www.alpha-books.example]
        same_address_as: alpha.shop.example.org
"""

RETURN = r"""
certificates:
  description: Each certificate that was asked for.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the certificate.
      type: str
    domains:
      description: Names that were asked for.
      type: list
      elements: str
    changed:
      description: Whether it was obtained or removed, or would be in check mode.
      type: bool
    replaced:
      description: Whether there was one before, so that what uses it has to read it again.
      type: bool
    reasons:
      description: Why it had to be obtained or removed.
      type: list
      elements: str
    error:
      description: Why it could not be obtained, and what to do next. Empty if it could.
      type: str
    warning:
      description: Why it could not be obtained, if what is there serves for at least O(grace_days) days.
      type: str
    problems:
      description: What the authority said, by domain, each with C(domain), C(kind) and C(detail).
      type: list
      elements: dict
    not_after:
      description: End of the certificate that is now live, in UTC.
      type: str
    certificate:
      description:
        - Path of the file that Nginx serves with, which has its chain and its key. It is given as well when another one was
          refused and this one goes on serving.
      type: str
    certificate_key:
      description: The same path.
      type: str
failed_certificates:
  description: Names of the certificates that could not be obtained.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.certbot import engine, model
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

SETTINGS = (
    "email",
    "webroot",
    "key_type",
    "elliptic_curve",
    "timeout",
    "challenge",
    "dns",
    "limits",
    "grace_days",
    "renewal_info",
)


def diff(steps: list, outcomes: list[engine.Outcome]) -> list[dict[str, str]]:
    return [
        {
            "before_header": f"certificate {outcome.name}",
            "after_header": f"certificate {outcome.name}",
            "before": "".join(f"{name}\n" for name in step.before),
            "after": "".join(f"{name}\n" for name in sorted(outcome.domains)) if step.certificate.present else "",
        }
        for step, outcome in zip(steps, outcomes, strict=True)
        if outcome.changed
    ]


def converge(module: AnsibleModule) -> None:
    params = module.params
    settings = model.Settings.from_dict(
        {
            "server": params["acme_directory"],
            "ca_file": params["ca_file"] or "",
            **{key: params[key] for key in SETTINGS},
        }
    )
    wanted = [model.certificate(item) for item in params["certificates"]]
    steps = engine.plans(settings, wanted)
    outcomes = engine.converge(settings, steps, check=module.check_mode)
    failed = [outcome.name for outcome in outcomes if outcome.error]
    result = {
        # One that an earlier run replaced without living to see Nginx reloaded counts as well.
        "changed": any(outcome.changed for outcome in outcomes) or Path(settings.renewed).exists(),
        "certificates": [outcome.as_dict() for outcome in outcomes],
        "failed_certificates": failed,
        "diff": diff(steps, outcomes),
    }
    for outcome in outcomes:
        if outcome.warning:
            module.warn(outcome.warning)
    errors = " ".join(dict.fromkeys(outcome.error for outcome in outcomes if outcome.error))
    if errors and params["on_error"] == "fail":
        module.fail_json(msg=errors, **result)
    if errors:
        module.warn(errors)
    module.exit_json(**result)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "certificates": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "domains": {"type": "list", "elements": "str", "default": []},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                    "challenge": {"type": "str", "choices": ["http", "dns"]},
                    "same_address_as": {"type": "str"},
                },
            },
            "challenge": {"type": "str", "choices": ["http", "dns"], "default": "http"},
            "dns": {
                "type": "dict",
                "options": {
                    "plugin": {"type": "str", "default": ""},
                    "credentials": {"type": "path"},
                    "propagation": {"type": "int", "default": 60},
                    "auth_hook": {"type": "path"},
                    "cleanup_hook": {"type": "path"},
                },
            },
            "limits": {
                "type": "dict",
                "options": {
                    "certificates_per_domain": {"type": "int"},
                    "duplicates": {"type": "int"},
                    "orders": {"type": "int"},
                    "failures": {"type": "int"},
                },
            },
            "grace_days": {"type": "int", "default": 7},
            "renewal_info": {"type": "bool", "default": True},
            "acme_directory": {"type": "str", "default": model.LETS_ENCRYPT},
            "email": {"type": "str", "default": ""},
            "webroot": {"type": "path", "default": "/var/www/letsencrypt"},
            "key_type": {"type": "str", "choices": ["ecdsa", "rsa"], "default": "ecdsa", "no_log": False},
            "elliptic_curve": {"type": "str", "choices": ["secp256r1", "secp384r1"], "default": "secp256r1"},
            "ca_file": {"type": "path"},
            "timeout": {"type": "float", "default": 180},
            "on_error": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    try:
        converge(module)
    except SlipwayError as error:
        module.fail_json(msg=str(error), certificates=[], failed_certificates=[])


if __name__ == "__main__":
    main()
