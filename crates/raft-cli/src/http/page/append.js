// The box that appends a message, and what came of it.

import { byId, make } from "./dom.js";

const ANSWERS_MAX = 4;

export function startAppending() {
  const form = byId("append");
  const input = byId("message");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const message = input.value;
    if (!message) {
      input.focus();
      return;
    }
    button.disabled = true;
    show(await append(message));
    button.disabled = false;
    input.select();
    input.focus();
  });
  document.addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input, textarea");
    if (event.key !== "/" || writes || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
}

/** Sends it; the answer's outcome, words and remarks. */
async function append(message) {
  const begun = performance.now();
  try {
    const response = await fetch("/v1/log", {
      method: "POST",
      // A form of another site cannot send this type.
      headers: { "content-type": "application/octet-stream" },
      body: new TextEncoder().encode(message),
    });
    const answer = await response.json();
    const took = `${Math.max(1, Math.round(performance.now() - begun))} ms`;
    if (answer.error) {
      const { outcome, what, hint } = answer.error;
      return { outcome, text: what, remark: [hint, took].filter(Boolean).join(" · ") };
    }
    const way = answer.forwarded_to && `forwarded to ${answer.forwarded_to}`;
    return {
      outcome: "applied",
      text: `appended at index ${answer.index}, term ${answer.term}`,
      remark: [way, took].filter(Boolean).join(" · "),
    };
  } catch {
    // The server may have had it already.
    const remark = "look at the log before you send it again";
    return { outcome: "unknown", text: "outcome unknown: the connection broke", remark };
  }
}

function show({ outcome, text, remark }) {
  const line = make("li", "", make("span", "", text, " ", make("small", "", remark)));
  line.dataset.outcome = outcome;
  const list = byId("answers");
  list.prepend(line);
  while (list.children.length > ANSWERS_MAX) list.lastChild.remove();
}
