// What happened, in words.

import { byId, make } from "./dom.js";

/** Several members tell of one election: within this time it is one event. */
const SAME_MS = 5000;

const SHOWN_MAX = 120;

const KINDS = {
  role: "leadership", membership: "members", link: "connection", notice: "notice", watch: "health",
};

let shownLast = null;

export function showEvents(state) {
  const newest = state.events.at(-1) ?? null;
  if (newest === shownLast && newest !== null) return;
  shownLast = newest;
  const groups = grouped(state.events);
  const lines = groups.slice(-SHOWN_MAX).reverse().map(line);
  if (!lines.length) lines.push(make("li", "empty", "Nothing has happened yet."));
  const list = byId("events");
  const top = list.scrollTop;
  list.replaceChildren(...lines);
  list.scrollTop = top;
}

/** Events in the order of time, those that several members tell of as one. */
function grouped(events) {
  const groups = [];
  for (const event of [...events].sort((a, b) => a.time - b.time)) {
    const same = groups.findLast((group) =>
      group.kind === event.kind && group.text === event.text && event.time - group.time < SAME_MS);
    if (same) same.members.add(event.member);
    else groups.push({ ...event, members: new Set([event.member]) });
  }
  return groups;
}

function line(event) {
  const when = new Date(event.time);
  const time = make("time", "", when.toLocaleTimeString([], { hour12: false }));
  time.dateTime = when.toISOString();
  const seen = event.kind === "watch" ? "" : `at ${[...event.members].sort().join(", ")}`;
  const item = make("li", "", time, make("span", "kind", KINDS[event.kind] ?? event.kind),
    make("p", "", event.text), make("span", "seen", seen));
  item.dataset.kind = event.kind;
  return item;
}
