# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Which tenant is meant, how its database is reached, and where its exports lie."""

    DOCUMENTATION = r"""
options:
  stack:
    description:
      - Name of the stack that the tenant belongs to.
      - With none of O(login_host), O(login_container) and O(login_unix_socket), the database is the one that role
        P(slipway.vps.tenants#role) installed (C(/etc/slipway/tenants/<stack>.json)).
      - With no O(s3_bucket) and no O(local_directory), exports lie where role P(slipway.vps.backup#role) puts the
        stack's backups (C(/etc/slipway/backup/<stack>.json)), encrypted as they are.
    type: str
    required: true
  name:
    description: Slug of the tenant.
    type: str
    required: true
  local_directory:
    description: Directory on the module's host for exports there, as C(tenant/<slug>/<id>/).
    type: path
  age_recipients:
    description: Public keys of age. With any, an export is encrypted for them.
    type: list
    elements: str
    default: []
  age_identity_file:
    description: File on the module's host with the age identity that can read encrypted exports.
    type: path
  client_directory:
    description:
      - Directory of C(pg_dump) and C(pg_restore) for a server that is in no container on this host.
      - Left out, the oldest installed client that is not older than the server is taken.
    type: path
  lock_wait:
    description: Seconds to wait for another backup or restore on this host to end.
    type: float
    default: 600.0
requirements:
  - zstd, and age for encrypted exports, on the module's host
"""
