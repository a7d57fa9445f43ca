"""Reads the snapshots of a data directory of format 1, for read_log.py: written from
docs/disk-format.md alone. All of a snapshot is read, where a start looks at its ends only."""

import re
import struct

HEADER = 128
ROWS, END = 3, 4


class Refused(Exception):
    """What a start would refuse, and where."""


def crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = tuple(crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def number(data, offset, size):
    return int.from_bytes(data[offset:offset + size], "little")


def sections(data, magic, node, *numbers):
    """All sections of a snapshot's file, kind and body, if it is sound."""
    header, kind, found = data[:HEADER], 0, []
    right = header[:10] == magic + b"\1\0" and not number(header, 16, 8)
    right = right and number(header, 12, 4) == crc32c(header[:12] + header[16:])
    right = right and header[32:64] == struct.pack(
        "<QQQQ", *divmod(int(node["cluster"], 16), 1 << 64)[::-1], *numbers)
    at, heads = HEADER, header
    while right and kind != END:
        head = data[at:at + 32]
        kind, body = number(head, 8, 4), data[at + 32:at + 32 + number(head, 16, 8)]
        right = number(head, 4, 4) == crc32c(head[:4] + head[8:]) and len(head) == 32
        right = right and number(head, 24, 4) == crc32c(body) and len(body) == number(head, 16, 8)
        found.append((kind, body))
        at, heads = at + 32 + len(body), heads + (head if kind != END else b"")
    right = right and at == len(data) and number(body, 0, 8) == len(found) - 1
    return found if right and number(body, 32, 4) == crc32c(heads) else None


def sound(path, node, *numbers):
    """Whether all of a snapshot can be read, the files that it names too."""
    found = sections(path.read_bytes(), b"RAFTSNAP", node, *numbers) or []
    rows, good = b"".join(body for kind, body in found if kind == ROWS), bool(found)
    for at in range(0, len(rows), 24):
        if number(rows, at, 4):
            name = number(rows, at + 8, 8)
            part = path.with_name(f"{name:016x}.part")
            read = part.exists() and sections(part.read_bytes(), b"RAFTPART", node, name, 0)
            good = good and read and number(read[-1][1], 32, 4) == number(rows, at + 4, 4)
    return good


def newest_snapshot(directory, node, terms):
    """The index of the newest sound one that is of the log, whose entries have these terms."""
    newest = 0
    for path in directory.glob("*-*"):
        name = re.fullmatch("([1-9][0-9]*)-(0|[1-9][0-9]*)", path.name)
        index, term = map(int, name.groups()) if name else (0, 0)
        if index > newest and terms.get(index) == term and sound(path, node, index, term):
            newest = index
    return newest
