# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versioned SQL templates: their names, their order and their checksums."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError

NAME = re.compile(r"\d{4}_[A-Za-z0-9][A-Za-z0-9_.-]*\.sql")
# A template runs inside its tenant's transaction: these would end that transaction under it.
TRANSACTION = re.compile(r"(?:begin|commit|rollback(?!\s+to\b)|abort|end|(?:start|prepare)\s+transaction)\b", re.I)
# The body of a standard SQL function has semicolons of its own, and closes with an END.
ATOMIC = re.compile(r"\bbegin\s+atomic\b", re.I)
# What may hide a semicolon or a word. Comments nest, so only their beginning is matched here.
OPAQUE = re.compile(
    r"--[^\n]*|/\*|(?<![A-Za-z0-9_])[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
    r"|\$([A-Za-z_]\w*)?\$.*?\$(?(1)\1)\$",
    re.S,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")
DIRECTIVE = re.compile(r"--\s*slipway:\s*(?P<word>.*?)\s*")
NO_TRANSACTION = "no-transaction"
# Run again after a run that was killed behind it, it must find its work done and say nothing.
UNREPEATABLE = re.compile(
    r"create\s+(?:unique\s+)?index\s+concurrently\b(?!\s+if\s+not\s+exists\b)"
    r"|drop\s+index\s+concurrently\b(?!\s+if\s+exists\b)",
    re.I,
)


@dataclass(frozen=True)
class Template:
    """One numbered file of SQL that every tenant gets once."""

    name: str
    sql: str

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the text. Line ends and trailing blanks do not count: lookups and editors change them."""
        text = self.sql.replace("\r\n", "\n").rstrip()
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def transactional(self) -> bool:
        """False for the one statement that cannot run in a transaction and is marked so in the file's head."""
        return NO_TRANSACTION not in directives(self.sql)


def parse_all(given: Any, directory: str | None) -> tuple[Template, ...]:
    """The templates of a request, in the order in which they run."""
    templates = [_from_entry(entry) for entry in given or []]
    if directory:
        templates += from_directory(Path(directory))
    return _ordered(templates)


def from_directory(directory: Path) -> list[Template]:
    """All *.sql files of a directory."""
    if not directory.is_dir():
        raise SlipwayError(
            f"The directory {directory} with the tenants' SQL templates does not exist.",
            hint="Create it, or correct template_dir.",
        )
    return [check(Template(path.name, _read(path))) for path in sorted(directory.glob("*.sql"))]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SlipwayError(f"The SQL template {path.name} is not UTF-8 text.", hint="Save it as UTF-8.") from error


def check(template: Template) -> Template:
    """Refuse what cannot run inside a tenant's transaction."""
    if not NAME.fullmatch(template.name):
        raise SlipwayError(
            f"The SQL template {template.name!r} has no number.",
            hint="Name it like 0001_init.sql: four digits, an underscore, a word, .sql",
        )
    if not template.sql.strip():
        raise SlipwayError(f"The SQL template {template.name} is empty.", hint="Write SQL into it or remove it.")
    if "\0" in template.sql:
        raise SlipwayError(f"The SQL template {template.name} holds a NUL.", hint="Save it as plain UTF-8 text.")
    bodies = 0
    for statement in statements(template.sql):
        if bodies and statement.lower().startswith("end"):
            bodies -= 1
        elif TRANSACTION.match(statement):
            raise SlipwayError(
                f"The SQL template {template.name} has its own {statement.split()[0].upper()}.",
                hint="Remove it: each tenant's templates run in one transaction already.",
            )
        elif statement.startswith("\\"):
            raise SlipwayError(
                f"The SQL template {template.name} has the psql command {statement.split()[0]}.",
                hint="Only SQL can run here.",
            )
        bodies += len(ATOMIC.findall(statement))
    _check_directives(template)
    return template


def directives(sql: str) -> list[str]:
    """What the comment lines in the head of a file ask for: `-- slipway: no-transaction`."""
    head = itertools.takewhile(lambda line: not line or line.startswith("--"), map(str.strip, sql.splitlines()))
    return [match["word"] for line in head if (match := DIRECTIVE.fullmatch(line))]


def _check_directives(template: Template) -> None:
    unknown = [word for word in directives(template.sql) if word != NO_TRANSACTION]
    if unknown:
        raise SlipwayError(
            f"The SQL template {template.name} asks for {unknown[0]!r} in its head, which means nothing.",
            hint=f"The one directive is: -- slipway: {NO_TRANSACTION}",
        )
    if template.transactional:
        return
    found = statements(template.sql)
    if len(found) != 1:
        raise SlipwayError(
            f"The SQL template {template.name} is marked {NO_TRANSACTION} and has {len(found)} statements.",
            hint="Give each of them a file of its own: a run that breaks off between two could not be resumed.",
        )
    if UNREPEATABLE.match(found[0]):
        raise SlipwayError(
            f"The SQL template {template.name} could not run again after a run that broke off behind it.",
            hint="Write CREATE INDEX CONCURRENTLY IF NOT EXISTS, or DROP INDEX CONCURRENTLY IF EXISTS.",
        )


def statements(sql: str) -> list[str]:
    """The statements of a text with their comments and quoted parts blanked out, to look at and not to run."""
    bare: list[str] = []
    position = 0
    while match := OPAQUE.search(sql, position):
        opening = match.group()
        bare += [sql[position : match.start()], " " if opening.startswith(("--", "/*")) else "''"]
        position = _comment_end(sql, match.end()) if opening == "/*" else match.end()
    bare.append(sql[position:])
    return [piece.strip() for piece in "".join(bare).split(";") if piece.strip()]


def _comment_end(sql: str, position: int) -> int:
    depth = 1
    while depth and (edge := COMMENT_EDGE.search(sql, position)):
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return len(sql) if depth else position


def pending(templates: Iterable[Template], ledger: Mapping[str, str]) -> list[Template]:
    """The templates that a tenant has not run, or a sentence about history that was rewritten."""
    waiting: list[Template] = []
    last = max(ledger, default="")
    for template in templates:
        done = ledger.get(template.name)
        if done is None:
            waiting.append(template)
        elif done != template.checksum:
            raise SlipwayError(
                f"The SQL template {template.name} was changed after it had run "
                f"(recorded {done[:12]}, now {template.checksum[:12]}).",
                hint="Put the old text back and write the change as a new template with the next number.",
            )
    late = next((template for template in waiting if template.name < last), None)
    if late:
        raise SlipwayError(
            f"The SQL template {late.name} is new but comes before {last}, which has run already.",
            hint="Give it the next free number.",
        )
    return waiting


def _from_entry(entry: Any) -> Template:
    if not isinstance(entry, Mapping) or not {"name", "sql"} <= set(entry):
        raise SlipwayError(
            "A template needs a name and its SQL.",
            hint="Write it like: {name: 0001_init.sql, sql: 'CREATE TABLE ...'}",
        )
    return check(Template(str(entry["name"]), str(entry["sql"])))


def _ordered(templates: list[Template]) -> tuple[Template, ...]:
    ordered = sorted(templates, key=lambda template: template.name)
    for one, other in itertools.pairwise(ordered):
        if one.name[:4] == other.name[:4]:
            raise SlipwayError(
                f"The SQL templates {one.name} and {other.name} have the same number.",
                hint="Give one of them the next free number.",
            )
    return tuple(ordered)
