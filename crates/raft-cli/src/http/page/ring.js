// The members in a ring: who they are, who leads, and what moves between them.

import { isStill, setAttribute, setTerm, setText, shape } from "./dom.js";
import { wordOf } from "./members.js";
import { State } from "./state.js";

const CENTRE = { x: 220, y: 200 };
const RADIUS = 132;
const DISC = 31;

/** How far a member reaches, with its words. */
const OUTER = 78;

/** How close an edge may come to the words in the middle. */
const MIDDLE = 70;

const PULSE_MS = 420;
const PULSES_MAX = 60;

export class Ring {
  constructor(svg) {
    this.svg = svg;
    this.orbit = shape("circle", { class: "orbit", cx: CENTRE.x, cy: CENTRE.y, r: RADIUS });
    this.edgeLayer = shape("g");
    this.pulseLayer = shape("g", { "aria-hidden": "true" });
    this.nodeLayer = shape("g");
    this.word = shape("text", { x: CENTRE.x, y: CENTRE.y - 28 }, "term");
    this.term = shape("text", { class: "term-number", x: CENTRE.x, y: CENTRE.y + 16 }, "–");
    this.commit = shape("text", { x: CENTRE.x, y: CENTRE.y + 42 }, "");
    const middle = shape("g", { class: "middle" }, this.word, this.term, this.commit);
    svg.append(this.orbit, this.edgeLayer, middle, this.pulseLayer, this.nodeLayer);
    this.nodes = new Map();
    this.edges = new Map();
    this.pulses = [];
    this.leaderBefore = null;
    this.frame = this.frame.bind(this);
  }

  show(state) {
    this.place(state);
    const leader = state.leader;
    setText(this.term, state.answering.length ? state.term : "–");
    setTerm(this.term, state.term);
    setText(this.commit, state.answering.length ? (leader ? `commit ${state.commit}` : "no leader") : "");
    for (const member of state.members) this.showNode(member);
    this.showEdges(state);
    setAttribute(this.svg, "aria-label", described(state));
  }

  /** Gives every member its place on the circle. */
  place(state) {
    const addresses = state.members.map((member) => member.address);
    if (addresses.join() === this.placed) return;
    this.placed = addresses.join();
    this.nodes.clear();
    this.edges.clear();
    this.edgeLayer.replaceChildren();
    this.nodeLayer.replaceChildren();
    let [top, bottom] = [CENTRE.y - RADIUS, CENTRE.y + RADIUS];
    addresses.forEach((address, place) => {
      const angle = (place / addresses.length) * 2 * Math.PI - Math.PI / 2;
      const x = CENTRE.x + RADIUS * Math.cos(angle);
      const y = CENTRE.y + RADIUS * Math.sin(angle);
      this.nodes.set(address, newNode(address, x, y));
      top = Math.min(top, y - OUTER);
      bottom = Math.max(bottom, y + OUTER);
      this.nodeLayer.append(this.nodes.get(address).group);
    });
    // As much as is used, so that it stands in the middle of its card.
    setAttribute(this.svg, "viewBox", `0 ${top} ${2 * CENTRE.x} ${bottom - top}`);
  }

  showNode(member) {
    const node = this.nodes.get(member.address);
    const role = State.role(member);
    setAttribute(node.group, "data-role", role);
    if (member.status && !member.error) setTerm(node.group, member.status.term);
    const id = member.id ?? member.status?.id;
    setText(node.name, id ? `n${id}` : "?");
    setText(node.role, member.leaving ? "leaving" : wordOf(role));
  }

  /** The leader's edges; without a leader there are none. */
  showEdges(state) {
    const leader = state.leader;
    const wanted = new Set();
    for (const member of leader ? state.members : []) {
      if (member === leader) continue;
      const key = `${leader.address} ${member.address}`;
      wanted.add(key);
      const edge = this.edge(leader.address, member.address);
      setTerm(edge, leader.status.term);
      const follows = !member.error && member.status?.term === leader.status.term;
      const busy = this.pulses.some((pulse) => pulse.edge === edge);
      setAttribute(edge, "data-state", follows ? (busy ? "busy" : "idle") : "broken");
    }
    for (const [key, edge] of this.edges) {
      if (wanted.has(key) || this.pulses.some((pulse) => pulse.edge === edge)) continue;
      edge.remove();
      this.edges.delete(key);
    }
  }

  edge(from, to) {
    const key = `${from} ${to}`;
    if (!this.edges.has(key)) {
      const d = curve(this.nodes.get(from), this.nodes.get(to));
      const edge = shape("path", { class: "edge", d });
      this.edgeLayer.append(edge);
      this.edges.set(key, edge);
    }
    return this.edges.get(key);
  }

  /** Lets move what the counters say has moved since the last picture. */
  move(state) {
    this.place(state);
    const leader = state.leader;
    if (!leader || isStill() || document.hidden) return;
    const term = leader.status.term;
    const isNew = this.leaderBefore && this.leaderBefore !== `${leader.address} ${term}`;
    this.leaderBefore = `${leader.address} ${term}`;
    for (const member of state.answering) {
      if (member === leader) continue;
      const edge = this.edge(leader.address, member.address);
      if (isNew) {
        this.pulse(edge, term, "vote", true, 0);
      } else if (grew(leader, "appends_sent") && grew(member, "appends_received")) {
        const many = Math.min(3, grew(member, "appends_received"));
        for (let turn = 0; turn < many; turn += 1) {
          this.pulse(edge, term, "entry", false, turn * 60);
          this.pulse(edge, term, "ack", true, turn * 60 + PULSE_MS * 0.8);
        }
      }
    }
  }

  /** Something small that goes along an edge, or back. */
  pulse(edge, term, kind, isBack, delay) {
    if (this.pulses.length >= PULSES_MAX) return;
    const element = kind === "vote"
      ? shape("path", { class: "pulse", d: "M0-6 6 0 0 6-6 0z" })
      : shape("circle", { class: kind === "ack" ? "pulse pulse-ack" : "pulse", r: kind === "ack" ? 4 : 5.5 });
    setTerm(element, term);
    this.pulses.push({ edge, element, isBack, start: performance.now() + delay });
    if (this.pulses.length === 1) requestAnimationFrame(this.frame);
  }

  frame(now) {
    this.pulses = this.pulses.filter(({ edge, element, isBack, start }) => {
      const part = (now - start) / PULSE_MS;
      if (part >= 1 || !edge.isConnected) {
        element.remove();
        return false;
      }
      if (part >= 0) {
        const eased = part < 0.5 ? 2 * part * part : 1 - 2 * (1 - part) ** 2;
        const { x, y } = edge.getPointAtLength(edge.getTotalLength() * (isBack ? 1 - eased : eased));
        element.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
        if (!element.isConnected) this.pulseLayer.append(element);
      }
      return true;
    });
    if (this.pulses.length) requestAnimationFrame(this.frame);
  }
}

/** By how much a counter grew since the last picture; a new start counts from zero. */
function grew(member, counter) {
  const { status, before } = member;
  return before && status ? Math.max(0, status[counter] - before[counter]) : 0;
}

function newNode(address, x, y) {
  // Words stand on the outer side, where no edges are.
  const isAbove = y < CENTRE.y - RADIUS / 2;
  const [first, second] = isAbove ? [-DISC - 28, -DISC - 12] : [DISC + 24, DISC + 40];
  const name = shape("text", { class: "name" });
  const role = shape("text", { class: "role", y: second });
  const group = shape("g", { class: "node", transform: `translate(${x} ${y})`, "data-address": address },
    shape("circle", { class: "halo", r: DISC + 6 }),
    shape("circle", { class: "disc", r: DISC }),
    name,
    shape("text", { class: "address", y: first }, address),
    role);
  return { group, name, role, x, y };
}

/** From disc to disc, around the words in the middle. */
function curve(from, to) {
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  let out = { x: middle.x - CENTRE.x, y: middle.y - CENTRE.y };
  const distance = Math.hypot(out.x, out.y);
  if (distance >= MIDDLE) return `M${from.x} ${from.y}L${to.x} ${to.y}`;
  if (distance < 1) out = { x: from.y - to.y, y: to.x - from.x };
  const length = Math.hypot(out.x, out.y);
  const turn = { x: CENTRE.x + (out.x / length) * MIDDLE, y: CENTRE.y + (out.y / length) * MIDDLE };
  // A quadratic curve comes half as far as its control point.
  const control = { x: 2 * turn.x - middle.x, y: 2 * turn.y - middle.y };
  return `M${from.x} ${from.y}Q${control.x} ${control.y} ${to.x} ${to.y}`;
}

/** The picture in words. */
function described(state) {
  const words = state.members.map((member) => `${member.address} ${wordOf(State.role(member))}`);
  return `Term ${state.term}: ${words.join(", ")}`;
}
