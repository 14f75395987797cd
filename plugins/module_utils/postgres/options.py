# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one PostgreSQL connection contract: the option names of community.postgresql, plus `login_container`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
DEFAULT_PORT = 5432
DEFAULT_TIMEOUT = 10

# Every module that talks to PostgreSQL merges this into its argument spec; the texts are in doc fragment `postgres`.
ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "login_host": {"type": "str", "default": ""},
    "login_port": {"type": "int", "default": DEFAULT_PORT},
    "login_user": {"type": "str", "default": "postgres"},
    "login_password": {"type": "str", "no_log": True},
    "login_db": {"type": "str", "default": "postgres"},
    "login_unix_socket": {"type": "str", "default": ""},
    "login_container": {"type": "str", "default": ""},
    "ssl_mode": {"type": "str", "default": "prefer", "choices": list(SSL_MODES)},
    "ca_cert": {"type": "path"},
    "connect_timeout": {"type": "int", "default": DEFAULT_TIMEOUT},
}


@dataclass(frozen=True)
class PostgresOptions:
    """Where a PostgreSQL server is and who asks."""

    host: str = ""
    port: int = DEFAULT_PORT
    user: str = "postgres"
    password: str = field(default="", repr=False)
    database: str = "postgres"
    unix_socket: str = ""
    container: str = ""
    ssl_mode: str = "prefer"
    ca_cert: str = ""
    connect_timeout: int = DEFAULT_TIMEOUT

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> PostgresOptions:
        """Read the options out of a module's parameters (or of a request of the same shape)."""
        return cls(
            host=params.get("login_host") or "",
            port=int(params.get("login_port") or DEFAULT_PORT),
            user=params.get("login_user") or "postgres",
            password=params.get("login_password") or "",
            database=params.get("login_db") or "postgres",
            unix_socket=params.get("login_unix_socket") or "",
            container=params.get("login_container") or "",
            ssl_mode=params.get("ssl_mode") or "prefer",
            ca_cert=params.get("ca_cert") or "",
            connect_timeout=int(params.get("connect_timeout") or DEFAULT_TIMEOUT),
        )

    def place(self) -> str:
        """The server as a sentence names it."""
        if self.container:
            return f"container {self.container}, port {self.port}"
        if self.unix_socket:
            return f"socket {self.unix_socket}, port {self.port}"
        return f"{self.host or 'the local socket'}, port {self.port}"
