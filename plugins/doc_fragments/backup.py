# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Which stack's backup is meant: the installed configuration, or one given here."""

    DOCUMENTATION = r"""
options:
  stack:
    description:
      - Name of the stack.
      - With no O(s3_bucket) and no O(local_directory), its configuration is the one that role
        P(slipway.vps.backup#role) installed (C(/etc/slipway/backup/<stack>.json)). All other options of database and
        destination are then unused.
    type: str
    required: true
  local_directory:
    description: Directory on the module's host for copies there.
    type: path
  age_recipients:
    description: Public keys of age. With any, everything that leaves the host is encrypted for them.
    type: list
    elements: str
    default: []
  age_identity_file:
    description: File on the module's host with the age identity that can read encrypted backups.
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
  - zstd, and age for encrypted backups, on the module's host
"""
