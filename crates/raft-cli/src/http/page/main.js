// The live page: takes pictures of the cluster and shows them.

import { startAppending } from "./append.js";
import { byId, setText } from "./dom.js";
import { showEvents } from "./events.js";
import { Logs } from "./logs.js";
import { showMembers, showSummary } from "./members.js";
import { latencyPlot, ratePlot } from "./plot.js";
import { Ring } from "./ring.js";
import { follow } from "./source.js";
import { State } from "./state.js";

const state = new State();
const ring = new Ring(byId("ring"));
const logs = new Logs(byId("logs"), byId("logs-frame"));
const plots = [ratePlot(byId("rate")), latencyPlot(byId("latency"))];

let lostAt = 0;
let isDrawn = true;

function draw() {
  isDrawn = true;
  showSummary(state);
  showMembers(state);
  ring.show(state);
  logs.show(state);
  for (const plot of plots) plot.show(state);
  showEvents(state);
}

/** At most one drawing for each frame of the screen, and none while nobody sees it. */
function drawSoon() {
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(draw);
}

function onPicture(picture, isWhole) {
  state.take(picture, isWhole);
  ring.move(state);
  drawSoon();
}

function onLink(link) {
  const sign = byId("link");
  if (link === "lost") lostAt ||= Date.now();
  else lostAt = 0;
  if (sign.dataset.state !== link) {
    sign.dataset.state = link;
    setText(sign, link === "live" ? "live" : "connection lost");
  }
  byId("main").classList.toggle("stale", link === "lost");
  const banner = byId("banner");
  banner.hidden = link !== "lost";
  if (link === "lost") {
    const since = new Date(lostAt).toLocaleTimeString([], { hour12: false });
    setText(banner, `The server behind this page has not answered since ${since}. Trying again; what is below is old.`);
  }
}

startAppending();
follow("/v1/events", onPicture, onLink);
addEventListener("resize", drawSoon);
