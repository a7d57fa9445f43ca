#!/usr/bin/env python3
"""Reads a data directory of format 1 and prints what a start would recover.

usage: python3 docs/read_log.py DIRECTORY

A second reader of the format, written from docs/disk-format.md alone: it shares no code with the
program, changes nothing, and is meant for a directory that no server works in. One line a fact,
one line an entry. Exit 0: read; 1: damaged or of another format, and the first line says where.
"""

import re
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from read_snapshot import Refused, crc32c, newest_snapshot, number  # noqa: E402

PAGE = 4096
BLOCKS_AT = 2 * PAGE
HEADER = 128
ENTRIES, HARD_STATE, TRUNCATE, PEERS, ATTEST, SEAL, KINDS = 1, 2, 4, 8, 16, 32, 63
ENTRY_KINDS = {0: "no-op", 1: "membership", 2: "command", 3: "session"}


def read_node(path):
    """The identity file: the values of its lines by their first word."""
    data = path.read_bytes()
    body, _, checksum = data.rpartition(b"checksum ")
    if not body.startswith(b"raft data directory\n") or checksum != b"%08x\n" % crc32c(body):
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


def header_copy(path, page, offset):
    """One copy of a slot's header: its fields, "zero" or "damaged"."""
    if not any(page):
        return "zero"
    checksum = crc32c(page[:12] + page[16:] + struct.pack("<Q", offset))
    if page[:8] != b"RAFTSLOT" or number(page, 12, 4) != checksum:
        return "damaged"
    if number(page, 8, 2) != 1 or number(page, 16, 8) > 1:
        raise Refused(f"{path}: the header is too new")
    names = {"cluster": (32, 16), "incarnation": (48, 16), "order": (64, 8), "salt": (72, 8),
             "size": (80, 8), "name": (88, 4), "used": (92, 4), "base": (96, 8),
             "chain": (104, 4), "durable": (112, 8), "before": (120, 8), "epoch": (128, 8),
             "term": (144, 8), "vote": (152, 8), "voted": (160, 1), "last": (184, 8),
             "last_term": (192, 8), "hint": (200, 8), "start": (168, 8),
             "start_term": (176, 8), "first": (224, 8)}
    header = {name: number(page, *where) for name, where in names.items()}
    header["peers"] = read_peers(page[256:256 + 40 * page[216]])
    return header


def read_peers(rows):
    return [(number(rows, at, 8), number(rows, at + 24, 8)) for at in range(0, len(rows), 40)]


def read_slot(path, node):
    """The header and bytes of a slot, or None if it is a spare."""
    data = path.read_bytes()
    if not 1 << 15 <= len(data) <= 1 << 32 or len(data).bit_count() != 1:
        raise Refused(f"{path}: was cut or grew")
    first = header_copy(path, data[:PAGE], 0)
    second = header_copy(path, data[PAGE:2 * PAGE], PAGE)
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


def header_crc(head, at):
    return crc32c(head[:8] + head[12:] + struct.pack("<Q", at))


def read_block(slot, at):
    """The block at an offset, if one of this use of the slot stands there."""
    data = slot["data"]
    head = data[at:at + HEADER]
    if len(head) < HEADER or head[:4] != b"RBLK":
        return None
    if number(head, 8, 4) != header_crc(head, at):
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
    behind = pages_after(slot, at)
    if any(block["synced"] >= wanted for block in behind):
        raise Refused(f"{where} was durable and is damaged")
    if found and found["whole"]:
        raise Refused(f"{where} is expected, and another one stands there")
    page = slot["data"][at:at + PAGE]
    resembles = page[:4] == b"RBLK" and number(page, 16, 8) == slot["order"]
    resembles |= number(page, 24, 8) == slot["salt"]
    resembles &= number(page, 8, 4) != header_crc(page[:HEADER], at)
    return bool(behind or resembles or any(page) and not slot["used"])


def check_seal(slot, blocks):
    """A complete slot names the one that follows."""
    if blocks and blocks[-1]["kinds"] & SEAL:
        follower = slot["path"].with_name(f"{blocks[-1]['count']:02}.seg")
        if not follower.exists():
            raise Refused(f"{follower}: is lost, the last block names it")


def replay(slots):
    """All valid blocks of a chain of slots, oldest first, and whether its end is torn."""
    blocks = []
    for place, slot in enumerate(slots):
        successor = slots[place + 1] if place + 1 < len(slots) else None
        wanted, chain, at = slot["base"], slot["chain"], BLOCKS_AT
        while successor is None or wanted < successor["base"]:
            block = read_block(slot, at)
            right = block and block["whole"]
            right = right and (block["number"], block["chain"]) == (wanted, chain)
            if not right and successor is None:
                torn = judge_end(slot, at, wanted, block)
                check_seal(slot, blocks)
                return blocks, torn, pages_after(slot, at)
            if not right:
                raise Refused(f"{slot['path']}: offset {at}: block {wanted} is damaged")
            blocks.append(block)
            wanted, chain, at = wanted + 1, block["crc"], block["end"]
        if (wanted, chain) != (successor["base"], successor["chain"]):
            raise Refused(f"{slot['path']}: does not end as its successor says")
    return blocks, False, []


def read_entries(block):
    at, body = 0, block["body"]
    for place in range(block["count"]):
        head = body[at:at + 32]
        payload = body[at + 32:at + 32 + number(head, 0, 4)]
        if number(head, 4, 4) != crc32c(head[:4] + head[8:]) or number(head, 24, 4) != crc32c(payload):
            raise Refused(f"block {block['number']}: entry {place} is damaged")
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
    chain, first = [], newest["first"] if newest else 0
    while newest:
        chain.insert(0, newest)
        before = 0 if newest["order"] == first else newest["before"]
        newest = by_order.get(before)
        if before and (not newest or before < first):
            raise Refused(f"wal: slot {before} is lost")
    if first and (chain[0]["order"], chain[0]["last"]) != (first, chain[-1]["start"]):
        raise Refused("wal: the log does not begin where its newest slot says")
    return chain


def hard_state(chain, blocks):
    votes = [(slot["term"], slot["voted"], slot["base"] - 1, slot["vote"]) for slot in chain]
    stated = [block for block in blocks if block["kinds"] & HARD_STATE]
    votes += [(block["term"], block["voted"], block["number"], block["vote"]) for block in stated]
    return max(votes, default=(0, 0, 0, 0))


def slot_paths(directory):
    names = re.compile(r"(0[0-9]|[1-9][0-9]+)\.seg")
    found = [path for path in (directory / "wal").glob("*.seg") if names.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem))


def read_log(directory, node):
    """Prints what the log holds."""
    slots = [read_slot(path, node) for path in slot_paths(directory)]
    chain = chain_of([slot for slot in slots if slot], node)
    blocks, torn, behind = replay(chain)
    entries, start = [], chain[-1]["start"] if chain else 0
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
    last = entries[-1][0] if entries else start
    if [entry[0] for entry in entries] != list(range(start + 1, last + 1)):
        raise Refused("wal: entries do not follow each other")
    terms = {entry[0]: entry[1] for entry in entries}
    terms |= {start: chain[-1]["start_term"]} if start else {}
    snapshot = newest_snapshot(directory / "snap", node, terms)
    if start and not snapshot:
        raise Refused(f"snap: the log begins after entry {start}, and no snapshot goes so far")
    print(f"begins after {start}", f"snapshot {snapshot or 'none'}", sep="\n")
    print(f"starts {chain[-1]['epoch'] if chain else 0}")
    print(f"term {term}", f"vote {vote if voted else 'none'}", f"last {last}", sep="\n")
    print(f"committed at least {min(max(*hints, start, snapshot, 0), last)}")
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
        for word in [word for word in ("cluster", "node", "address", "removed-at") if word in node]:
            print(f"{word} {node[word]}")
        for incarnation, address in node["founder"]:
            print(f"founder {incarnation} {address}")
        if node["state"] == "new":
            for used in (path for path in slot_paths(directory) if any(path.read_bytes()[:BLOCKS_AT])):
                raise Refused(f"NODE: is older than {used}")
        else:
            shown = read_shown(directory / "SHOWN", int(node["cluster"], 16))
            print(f"shown {'lost' if shown is None else shown}")
            read_log(directory, node)
    except (Refused, OSError) as error:
        sys.exit(f"refused: {error}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
