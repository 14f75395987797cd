# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The PostgreSQL connection options that all modules of this collection share."""

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Host name or address of the PostgreSQL server.
      - Empty means the local socket, unless O(login_container) is given.
    type: str
    default: ""
  login_port:
    description: TCP port of the server (inside the container when O(login_container) is given).
    type: int
    default: 5432
  login_user:
    description: The role to connect as.
    type: str
    default: postgres
  login_password:
    description: Its password. It is never logged and never part of an error message.
    type: str
  login_db:
    description: The database to connect to.
    type: str
    default: postgres
  login_unix_socket:
    description: Directory of the server's socket, in place of O(login_host).
    type: str
    default: ""
  login_container:
    description:
      - Name of a running Docker container on the module's host. Its network address is used in place of O(login_host),
        so the database needs no published port.
      - Needs the Python library C(docker) on that host.
    type: str
    default: ""
  ssl_mode:
    description:
      - How much TLS is demanded of the connection.
      - Use V(verify-full) with O(ca_cert) for a managed database.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
  ca_cert:
    description: File with the CA certificates that the server's certificate must come from.
    type: path
  connect_timeout:
    description: Seconds to wait for the connection.
    type: int
    default: 10
requirements:
  - psycopg2 (Debian package C(python3-psycopg2)) on the host that runs the module
"""
