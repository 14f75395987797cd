# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frames and keys, against the examples of RFC 6455."""

from __future__ import annotations

import io

import pytest
from app import websocket


def test_accept_key() -> None:
    assert websocket.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_masked_frame_of_a_client() -> None:
    frame = bytes([0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
    assert websocket.read_frame(io.BytesIO(frame)) == (websocket.TEXT, b"Hello")


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_what_is_written_can_be_read(length: int) -> None:
    payload = b"x" * length
    assert websocket.read_frame(io.BytesIO(websocket.frame(websocket.BINARY, payload))) == (websocket.BINARY, payload)


def test_half_a_frame_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        websocket.read_frame(io.BytesIO(b"\x81\x85\x37"))
