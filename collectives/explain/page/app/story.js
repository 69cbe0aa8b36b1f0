// A sentence for a moment, and the list of its messages: the picture in words.
import { flying, partsOf, reductions, waitsFor, count } from "./film.js";
import { heldText } from "./grid.js";
import { html } from "./html.js";
import { areBlocks, nameRuns } from "./network.js";
import { bytesText, runs, secondsText } from "./words.js";

const SHOWN = 6;

// Who sends to whom, in the fewest words: all the same way, or in pairs, or one by one.
function pattern(messages, p, say) {
  const far = new Set(messages.map(({ source, dest }) => (dest - source + p) % p));
  const sources = new Set(messages.map((x) => x.source));
  if (messages.length === p && sources.size === p && far.size === 1) {
    const [right] = far;
    return right * 2 <= p ? say("allRight", { count: right }) : say("allLeft", { count: p - right });
  }
  const bits = new Set(messages.map(({ source, dest }) => source ^ dest));
  const both = messages.every((x) => messages.some((y) => y.source === x.dest && y.dest === x.source));
  if (messages.length > 2 && both && bits.size === 1) return say("pairs", { count: [...bits][0] });
  const pairs = messages.slice(0, SHOWN).map(({ source, dest }) => `${source} → ${dest}`);
  const more = messages.length - pairs.length;
  return pairs.join(", ") + (more > 0 ? ` ${say("more", { count: more })}` : "");
}

export function sentence(film, from, t, say) {
  const p = film.run.ranks.length, { played } = film;
  const where = `${film.rounds ? say("roundOf", { round: t, rounds: played.beats }) : say("timeOf", { time: secondsText(t), all: secondsText(played.time) })}${say("stop")}`;
  if (t === 0) return `${where} ${say("beginning")}`;
  const moving = flying(film, t).map((x) => x.message), sums = reductions(film, from, t);
  const said = [where];
  const tell = (key, messages) => messages.length && said.push(say(key, { count: messages.length, who: pattern(messages, p, say) }));
  if (film.rounds) tell("sent", moving) || said.push(say("noMessages"));
  else {
    const here = (message) => message.arrived <= t + film.end * 1e-9;
    tell("onTheWay", moving.filter((message) => !here(message)));
    tell("arrived", moving.filter(here));
  }
  if (sums.length) said.push(say("summed", { count: sums.length }));
  const waiting = film.run.ranks.map((_, rank) => [rank, waitsFor(film, rank, t)]).filter(([, ranks]) => ranks.length);
  if (waiting.length && (!film.rounds || t >= played.beats))
    said.push(say("waiting", { count: waiting.length, who: waiting.slice(0, SHOWN).map(([rank, ranks]) => `${rank} ← ${runs(ranks, ", ")}`).join("; ") }));
  if (film.run.ranks.every((rounds, rank) => count(film, rank, t) === rounds.length)) said.push(say("end"));
  return said.join(" ");
}

export function Messages({ film, t, say }) {
  const moving = flying(film, t).map((x) => x.message).sort((a, b) => a.source - b.source || a.dest - b.dest);
  return html`<details class="messages" open><summary>${say("messagesOf", { count: moving.length })}</summary>
    <ul>${moving.map((message) => {
      const parts = partsOf(film.run, message.cells), values = [...new Set(message.cells.filter(Boolean).map((x) => x.value))];
      const what = film.run.parts.length === 1 ? say(film.run.parts[0]) : say(areBlocks(film) ? "blocks" : "pieces", { count: parts.length, blocks: nameRuns(film, parts) });
      return html`<li><b>${message.source} → ${message.dest}</b> ${what}${values.length === 1 && film.joins ? ` (${say("of", { ranks: heldText(values, true, ", ") })})` : ""}${" "}${film.run.parts[0] !== "news" && html`<span class="size">${bytesText(message.bytes)}</span>`}</li>`;
    })}</ul></details>`;
}
