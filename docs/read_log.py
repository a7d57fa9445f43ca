#!/usr/bin/env python3
"""Reads a data directory of format 1 and prints what a start would recover.

usage: python3 docs/read_log.py DIRECTORY

A second reader of the format, written from docs/disk-format.md alone: it shares no code with the
program, changes nothing, and is meant for a directory that no server works in. One line a fact,
one line an entry. Exit 0: read; 1: damaged or of another format, and the first line says where.
"""

import struct
import sys
from pathlib import Path

PAGE = 4096
BLOCKS_AT = 2 * PAGE
HEADER = 128
ENTRIES, HARD_STATE, TRUNCATE, PEERS, ATTEST, SEAL = 1, 2, 4, 8, 16, 32
KINDS = ENTRIES | HARD_STATE | TRUNCATE | PEERS | ATTEST | SEAL
ENTRY_KINDS = {0: "no-op", 1: "membership", 2: "command", 3: "session"}


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


def read_node(path):
    """The identity file: the values of its lines by their first word."""
    data = path.read_bytes()
    body, _, checksum = data.rpartition(b"checksum ")
    if not body.startswith(b"raft data directory\n") or int(checksum or b"0", 16) != crc32c(body):
        raise Refused(f"{path}: damaged")
    node = {"founder": []}
    for line in body.decode().splitlines()[1:]:
        word, value = line.split(" ", 1)
        if word == "founder":
            node[word].append(tuple(value.split(" ", 1)))
        else:
            node[word] = value
    if node["format"] != "1":
        raise Refused(f"{path}: format {node['format']} is too new")
    return node


def read_shown(path, cluster):
    """Up to which index lines were shown; None if that is lost."""
    data = path.read_bytes() if path.exists() else b""
    marks = []
    for offset in (0, PAGE):
        copy = data[offset:offset + 64]
        if len(copy) < 64 or copy[:8] != b"RAFTSHOW" or number(copy, 8, 2) != 1:
            continue
        if number(copy, 60, 4) == crc32c(copy[:60]) and number(copy, 16, 16) in (0, cluster):
            marks.append(number(copy, 32, 8))
    return max(marks, default=None)


def header_copy(page, offset):
    """One copy of a slot's header: its fields, "zero" or "damaged"."""
    if not any(page):
        return "zero"
    checksum = crc32c(page[:12] + page[16:] + struct.pack("<Q", offset))
    if page[:8] != b"RAFTSLOT" or number(page, 12, 4) != checksum:
        return "damaged"
    if number(page, 8, 2) != 1 or number(page, 16, 8) != 0:
        raise Refused("slot header: too new")
    names = {"cluster": (32, 16), "incarnation": (48, 16), "order": (64, 8), "salt": (72, 8),
             "size": (80, 8), "name": (88, 4), "used": (92, 4), "base": (96, 8),
             "chain": (104, 4), "durable": (112, 8), "before": (120, 8), "epoch": (128, 8),
             "term": (144, 8), "vote": (152, 8), "voted": (160, 1), "last": (184, 8),
             "last_term": (192, 8), "hint": (200, 8)}
    header = {name: number(page, *where) for name, where in names.items()}
    header["peers"] = read_peers(page[256:256 + 40 * page[216]])
    return header


def read_peers(rows):
    return [(number(rows, at, 8), number(rows, at + 24, 8)) for at in range(0, len(rows), 40)]


def read_slot(path, node):
    """The header and bytes of a slot, or None if it is a spare."""
    data = path.read_bytes()
    first = header_copy(data[:PAGE], 0)
    second = header_copy(data[PAGE:2 * PAGE], PAGE)
    if second == "damaged" and not isinstance(first, dict):
        raise Refused(f"{path}: the header is damaged")
    valid = [copy for copy in (first, second) if isinstance(copy, dict)]
    if not valid:
        return None
    header = max(valid, key=lambda copy: copy["order"])
    ours = header["cluster"], header["incarnation"], header["size"], header["name"]
    owner = int(node["cluster"], 16), int(node["incarnation"], 16)
    if ours != (*owner, len(data), int(path.stem)):
        raise Refused(f"{path}: belongs to another directory or place")
    return header | {"data": data, "path": path}


def read_block(slot, at):
    """The block at an offset, if one of this use of the slot stands there."""
    data = slot["data"]
    head = data[at:at + HEADER]
    if len(head) < HEADER or head[:4] != b"RBLK":
        return None
    if number(head, 8, 4) != crc32c(head[:8] + head[12:] + struct.pack("<Q", at)):
        return None
    if (number(head, 16, 8), number(head, 24, 8)) != (slot["order"], slot["salt"]):
        return None
    kinds, length = number(head, 4, 2), number(head, 68, 4)
    if kinds & ~KINDS or number(head, 48, 8) != 0:
        raise Refused(f"{slot['path']}: offset {at}: too new")
    body = data[at + HEADER:at + HEADER + length]
    return {"kinds": kinds, "crc": number(head, 8, 4), "chain": number(head, 12, 4),
            "number": number(head, 32, 8), "synced": number(head, 40, 8),
            "first": number(head, 56, 8), "count": number(head, 64, 4), "body": body,
            "whole": len(body) == length and crc32c(body) == number(head, 72, 4),
            "hint": number(head, 80, 8), "term": number(head, 88, 8),
            "vote": number(head, 96, 8), "voted": head[104],
            "truncate": number(head, 112, 8), "at": at,
            "end": at + -(-(HEADER + length) // PAGE) * PAGE}


def pages_after(slot, at):
    blocks = (read_block(slot, page) for page in range(at, len(slot["data"]), PAGE))
    return [block for block in blocks if block]


def judge_end(slot, at, wanted, found):
    """Whether the newest slot ends at an offset, is torn there (True), or is damaged."""
    where = f"{slot['path']}: offset {at}: block {wanted}"
    if slot["durable"] >= wanted:
        raise Refused(f"{where} was durable and is damaged")
    later = pages_after(slot, at + PAGE)
    if any(block["synced"] >= wanted and block["whole"] for block in later):
        raise Refused(f"{where} was durable and is damaged")
    if found and found["whole"]:
        raise Refused(f"{where} is expected, and another one stands there")
    page = slot["data"][at:at + PAGE]
    resembles = page[:4] == b"RBLK" and number(page, 16, 8) == slot["order"]
    resembles |= number(page, 24, 8) == slot["salt"]
    return bool(later or found or resembles or any(page) and not slot["used"])


def replay(slots):
    """All valid blocks of a chain of slots, oldest first, and whether its end is torn."""
    blocks = []
    for place, slot in enumerate(slots):
        successor = slots[place + 1] if place + 1 < len(slots) else None
        wanted, chain, at = slot["base"], slot["chain"], BLOCKS_AT
        # A slot may hold again what the one before it holds: it continues before it.
        blocks = [block for block in blocks if block["number"] < wanted]
        while successor is None or wanted < successor["base"]:
            block = read_block(slot, at)
            right = block and block["whole"]
            right = right and (block["number"], block["chain"]) == (wanted, chain)
            if not right and successor is None:
                torn = at < len(slot["data"]) and judge_end(slot, at, wanted, block)
                return blocks, torn, pages_after(slot, at)
            if not right:
                raise Refused(f"{slot['path']}: offset {at}: block {wanted} is damaged")
            blocks.append(block)
            wanted, chain, at = wanted + 1, block["crc"], block["end"]
        if chain != successor["chain"]:
            raise Refused(f"{slot['path']}: does not end as its successor says")
    return blocks, False, []


def read_entries(block, path="block"):
    at, body = 0, block["body"]
    for place in range(block["count"]):
        head = body[at:at + 32]
        payload = body[at + 32:at + 32 + number(head, 0, 4)]
        if number(head, 4, 4) != crc32c(head[:4] + head[8:]) or number(head, 24, 4) != crc32c(payload):
            raise Refused(f"{path} {block['number']}: entry {place} is damaged")
        yield number(head, 8, 8), number(head, 16, 8), head[28], payload
        at += 32 + -(-len(payload) // 8) * 8


def chain_of(slots, node):
    """The slots that are the log, oldest first."""
    by_order = {slot["order"]: slot for slot in slots}
    if len(by_order) != len(slots):
        raise Refused("wal: one order number twice")
    newest = max(by_order.values(), key=lambda slot: slot["order"], default=None)
    if int(node["epoch"]) > (newest["epoch"] if newest else 0):
        raise Refused("wal: the newest slot is lost")
    chain = []
    while newest:
        chain.insert(0, newest)
        before = newest["before"]
        newest = by_order.get(before)
        if before and not newest:
            raise Refused(f"wal: slot {before} is lost")
    return chain


def hard_state(chain, blocks):
    votes = [(slot["term"], slot["voted"], slot["base"] - 1, slot["vote"]) for slot in chain]
    stated = [block for block in blocks if block["kinds"] & HARD_STATE]
    votes += [(block["term"], block["voted"], block["number"], block["vote"]) for block in stated]
    return max(votes, default=(0, 0, 0, 0))


def read_log(directory, node):
    """Prints what the log holds."""
    paths = sorted((directory / "wal").glob("*.seg"), key=lambda path: int(path.stem))
    chain = chain_of([slot for path in paths if (slot := read_slot(path, node))], node)
    blocks, torn, behind = replay(chain)
    entries = []
    peers = chain[-1]["peers"] if chain else []
    for block in blocks:
        if block["kinds"] & TRUNCATE:
            entries = [entry for entry in entries if entry[0] < block["truncate"]]
        if block["kinds"] & PEERS:
            peers = read_peers(block["body"])
        if block["kinds"] & ENTRIES:
            entries += read_entries(block)
    term, voted, _, vote = hard_state(chain, blocks + behind)
    hints = [slot["hint"] for slot in chain] + [block["hint"] for block in blocks]
    last = entries[-1][0] if entries else 0
    print(f"starts {chain[-1]['epoch'] if chain else 0}")
    print(f"term {term}")
    print(f"vote {vote if voted else 'none'}")
    print(f"last {last}")
    print(f"committed at least {min(max(hints, default=0), last)}")
    print(f"torn end {'yes' if torn else 'no'}")
    for peer, epoch in peers:
        print(f"peer {peer} start {epoch}")
    for index, term, kind, payload in entries:
        what = ENTRY_KINDS.get(kind, f"kind {kind}")
        print(f"entry {index} term {term} {what} {len(payload)} bytes {crc32c(payload):08x}")


def main():
    directory = Path(sys.argv[1])
    try:
        node = read_node(directory / "NODE")
        print(f"state {node['state']}")
        for word in ("cluster", "node", "address", "removed-at"):
            if word in node:
                print(f"{word} {node[word]}")
        for incarnation, address in node["founder"]:
            print(f"founder {incarnation} {address}")
        if node["state"] != "new":
            shown = read_shown(directory / "SHOWN", int(node["cluster"], 16))
            print(f"shown {'lost' if shown is None else shown}")
            read_log(directory, node)
    except (Refused, OSError) as error:
        sys.exit(f"refused: {error}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
