// The end of every member's log, side by side: a row for each member, a column for each index, as
// in the paper's figures.

import { make, setTerm, setText } from "./dom.js";

/** Until there are names, in pixels like the others. */
const NAME_WIDTH = 90;
const ENTRY_WIDTH = 104;
const ENTRY_WIDTH_NARROW = 68;

/** When more arrive at once, none of them is made much of. */
const FRESH_MAX = 4;

/** What entries without words of a client say. */
const WORDS = { noop: "no-op", membership: "members", session: "session" };

export class Logs {
  constructor(table, frame) {
    this.frame = frame;
    this.numbers = make("tr", "", make("th"));
    this.body = make("tbody");
    table.append(make("thead", "", this.numbers), this.body);
    this.rows = new Map();
    this.heads = new Map();
  }

  show(state) {
    const narrow = this.frame.clientWidth < 560;
    const name = this.body.querySelector("th")?.offsetWidth || NAME_WIDTH;
    const room = this.frame.clientWidth - name - 1;
    const count = Math.max(1, Math.floor(room / (narrow ? ENTRY_WIDTH_NARROW : ENTRY_WIDTH)));
    const width = Math.floor(room / count);
    const last = Math.max(1, state.highest("last_index"));
    const first = Math.max(1, last - count + 1);
    const indexes = Array.from({ length: last - first + 1 }, (_, place) => first + place);
    this.showNumbers(indexes, width);
    const wanted = new Set(state.members.map((member) => member.address));
    for (const [address, row] of this.rows) {
      if (wanted.has(address)) continue;
      row.line.remove();
      this.rows.delete(address);
    }
    for (const [place, member] of state.members.entries()) {
      const row = this.rows.get(member.address) ?? this.newRow(member.address);
      if (this.body.children[place] !== row.line) {
        this.body.insertBefore(row.line, this.body.children[place] ?? null);
      }
      this.showRow(row, member, indexes, width);
    }
  }

  newRow(address) {
    const marks = make("small");
    const head = make("th", "", address, marks);
    head.scope = "row";
    const line = make("tr", "", head);
    const row = { line, marks, cells: new Map(), last: null };
    this.rows.set(address, row);
    return row;
  }

  showNumbers(indexes, width) {
    keyed(this.numbers, this.heads, indexes, (index) => {
      const head = make("th", "", String(index));
      head.scope = "col";
      return head;
    });
    for (const head of this.heads.values()) head.style.width = `${width}px`;
  }

  showRow(row, member, indexes, width) {
    const status = member.status;
    const silent = Boolean(member.error);
    row.line.dataset.address = member.address;
    setText(row.marks, silent ? "no answer" : status ? `${status.last_index} entries` : "asking");
    keyed(row.line, row.cells, indexes, () => make("td", "", make("div", "entry"), make("div", "flag", make("span"))));
    const entries = new Map(member.tail.map((entry) => [entry[0], entry]));
    const arrived = row.last === null ? 0 : (status?.last_index ?? 0) - row.last;
    for (const [index, cell] of row.cells) {
      cell.firstChild.style.width = `${width - 5}px`;
      fill(cell, index, entries.get(index), member);
      const isFresh = arrived > 0 && arrived <= FRESH_MAX && index > row.last && entries.has(index);
      if (isFresh) cell.firstChild.classList.add("fresh");
    }
    row.last = status?.last_index ?? row.last;
  }
}

/** Keeps one child of `parent` for each index, in order, after its first child. */
function keyed(parent, children, indexes, create) {
  const wanted = new Set(indexes);
  for (const [index, child] of children) {
    if (wanted.has(index)) continue;
    child.remove();
    children.delete(index);
  }
  indexes.forEach((index, place) => {
    let child = children.get(index);
    if (!child) {
      child = create(index);
      children.set(index, child);
    }
    const there = parent.children[place + 1] ?? null;
    if (there !== child) parent.insertBefore(child, there);
  });
}

function fill(cell, index, entry, member) {
  const [box, flag] = cell.children;
  const status = member.status;
  const [, term, kind, text, size] = entry ?? [];
  const state = stateOf(index, entry, status);
  const words = entry ? WORDS[kind] ?? text : "";
  const key = entry ? `${term} ${kind} ${words}` : state;
  if (box.dataset.key !== key) {
    box.dataset.key = key;
    box.dataset.kind = kind ?? "";
    if (entry) {
      setTerm(box, term);
      box.replaceChildren(make("i", "", `term ${term}`), make("b", "", words || "…"));
      box.title = `index ${index}, term ${term}, ${kind}, ${size} bytes${words ? `: ${words}` : ""}`;
    } else {
      box.replaceChildren();
      box.title = "";
    }
  }
  if (box.dataset.state !== state) box.dataset.state = state;
  setText(flag.firstChild, marksOf(index, status, member.error));
}

function stateOf(index, entry, status) {
  if (!status || index > status.last_index) return "none";
  if (index <= status.applied_index) return "applied";
  if (index <= status.commit_index) return "committed";
  return entry ? "open" : "none";
}

/** The marks of a log that stand at this index. */
function marksOf(index, status, error) {
  if (!status || error) return "";
  const marks = [];
  if (index === status.commit_index) marks.push("commit");
  if (index === status.applied_index) marks.push("applied");
  return marks.length ? `${marks.join(" = ")} ▴` : "";
}
