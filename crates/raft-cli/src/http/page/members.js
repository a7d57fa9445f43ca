// The table of members, and the sentence at the top.

import { age, byId, bytes, make, micros, setTerm, setText } from "./dom.js";
import { State } from "./state.js";

const rows = new Map();

export function showMembers(state) {
  const body = byId("members");
  const wanted = new Set(state.members.map((member) => member.address));
  for (const [address, row] of rows) {
    if (wanted.has(address)) continue;
    row.line.remove();
    row.problem.remove();
    rows.delete(address);
  }
  for (const [place, member] of state.members.entries()) {
    const row = rows.get(member.address) ?? newRow(member.address);
    if (body.children[place * 2] !== row.line) {
      body.insertBefore(row.line, body.children[place * 2] ?? null);
      row.line.after(row.problem);
    }
    fill(row, member, state);
  }
  const job = byId("job");
  job.hidden = !state.job;
  setText(job, state.job ? `A change of members is under way: ${state.job}` : "");
}

function newRow(address) {
  const cells = {};
  const cell = (name, className = "number") => (cells[name] = make("td", className));
  const head = make("th", "", address, (cells.name = make("small")));
  head.scope = "row";
  const chip = (cells.role = make("span", "chip"));
  const line = make("tr", "", head, make("td", "", chip), cell("term"),
    cell("last", "number optional"), cell("commit"), cell("applied"),
    cell("sync", "number optional"), cell("disk", "number optional"), cell("up", "number optional"));
  line.dataset.address = address;
  cells.problem = make("td");
  cells.problem.colSpan = 9;
  const row = { line, cells, problem: make("tr", "problem", cells.problem) };
  rows.set(address, row);
  return row;
}

function fill({ line, cells, problem }, member, state) {
  const status = member.status;
  const role = State.role(member);
  const isThere = status && !member.error;
  line.dataset.role = role;
  cells.role.dataset.role = role;
  setText(cells.role, wordOf(role));
  const id = member.id ?? status?.id;
  setText(cells.name, [id && `n${id}`, member.own && "here"].filter(Boolean).join(", "));
  if (isThere) setTerm(cells.role, status.term);
  setText(cells.term, isThere ? status.term : "–");
  setText(cells.last, isThere ? status.last_index : "–");
  setText(cells.commit, isThere ? status.commit_index : "–");
  setText(cells.applied, isThere ? status.applied_index : "–");
  // A heartbeat's worth of delay is no lag.
  const isBehind = isThere && member.before && member.before.commit_index < state.commit - 100;
  cells.commit.classList.toggle("behind", Boolean(isBehind));
  setText(cells.sync, isThere ? micros(status.sync_p99_us) : "–");
  setText(cells.disk, isThere ? bytes(status.disk_used) : "–");
  setText(cells.up, isThere ? age(status.uptime_ms) : "–");
  const problems = isThere ? status.problems.join("; ") : member.error ?? "";
  problem.hidden = !problems;
  setText(cells.problem, problems);
}

/** A role for people. */
export function wordOf(role) {
  return { silent: "no answer", unknown: "asking" }[role] ?? role;
}

export function showSummary(state) {
  const { leader, members, answering } = state;
  const parts = [];
  if (!answering.length) {
    parts.push("asking the members");
  } else if (leader) {
    parts.push(make("b", "", leader.address), ` leads in term ${leader.status.term}`);
  } else {
    parts.push(make("b", "", "no leader"), ` in term ${state.term}`);
  }
  parts.push(` · ${answering.length} of ${members.length} members answer · commit `);
  parts.push(make("b", "", String(state.commit)));
  const summary = byId("summary");
  const text = parts.map((part) => part.textContent ?? part).join("");
  if (summary.textContent !== text) summary.replaceChildren(...parts);
  const title = leader ? `${leader.address} leads · raft` : "no leader · raft";
  if (document.title !== title) document.title = title;
  const cluster = answering.find((member) => member.status.cluster)?.status;
  setText(byId("foot"),
    `answered by ${state.own}${cluster ? ` · cluster ${cluster.cluster.slice(0, 8)} · raft ${cluster.version}` : ""}`);
}
