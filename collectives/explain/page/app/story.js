// A sentence for a moment, and the list of its messages: the picture in words.
import { count, flying, partsOf, reductions, waitsFor } from "./film.js";
import { heldText } from "./grid.js";
import { html } from "./html.js";
import { areBlocks, nameRuns } from "./network.js";
import { bytesText, runs, secondsText } from "./words.js";

// So many messages, or ranks, are named one by one.
const SHOWN = 6;

// A space at which no line ends.
const NEAR = "\u00a0";

// Who sends to whom, in the fewest words: all the same way, or in pairs, or one by one.
function pattern(messages, p, say) {
  const ways = [...new Set(messages.map(({ source, dest }) => (dest - source + p) % p))];
  const sources = new Set(messages.map(({ source }) => source));
  if (messages.length === p && sources.size === p && ways.length === 1) {
    const [right] = ways;
    return right * 2 <= p ? say("allRight", { count: right }) : say("allLeft", { count: p - right });
  }
  const bits = [...new Set(messages.map(({ source, dest }) => source ^ dest))];
  const answered = ({ source, dest }) => messages.some((x) => x.source === dest && x.dest === source);
  if (messages.length > 2 && bits.length === 1 && messages.every(answered)) return say("pairs", { count: bits[0] });
  const pairs = messages.slice(0, SHOWN).map(({ source, dest }) => `${source}${NEAR}→${NEAR}${dest}`).join(", ");
  const more = messages.length - SHOWN;
  return more > 0 ? `${pairs} ${say("more", { count: more })}` : pairs;
}

// What happens at a stop, since the stop before.
export function sentence(film, from, t, say) {
  const p = film.run.ranks.length, { played, run } = film, ranks = run.ranks.map((_, rank) => rank);
  const where = film.rounds ? say("roundOf", { round: t, rounds: played.beats })
    : say("timeOf", { time: secondsText(t), all: secondsText(played.time) });
  const said = [where + say("stop")];
  if (t === 0) return [...said, say("beginning")].join(" ");
  const tell = (key, messages) => {
    if (messages.length) said.push(say(key, { count: messages.length, who: pattern(messages, p, say) }));
  };
  const moving = flying(film, t).map(({ message }) => message);
  const sent = played.messages.filter((x) => x.sent.opens < t && x.leaves >= t); // and not taken
  if (!film.rounds) {
    const here = ({ lands }) => lands <= t + film.close;
    tell("onTheWay", moving.filter((message) => !here(message)));
    tell("arrived", moving.filter(here));
  } else {
    tell("sent", moving);
    tell("onTheWay", sent);
  }
  const waiting = ranks.map((rank) => [rank, waitsFor(film, rank, t)]).filter(([, peers]) => peers.length);
  if (film.rounds && !moving.length && !sent.length && !waiting.length) said.push(say("noMessages"));
  const sums = reductions(film, from, t).length;
  if (sums) said.push(say("summed", { count: sums }));
  if (!film.rounds || t >= played.beats) {
    const who = waiting.slice(0, SHOWN).map(([rank, peers]) => `${rank}${NEAR}←${NEAR}${runs(peers)}`).join("; ");
    if (waiting.length) said.push(say("waiting", { count: waiting.length, who }));
  }
  if (ranks.every((rank) => count(film, rank, t) === run.ranks[rank].length)) said.push(say("end"));
  return said.join(" ");
}

export function Messages({ film, t, say }) {
  const moving = flying(film, t).map(({ message }) => message);
  moving.sort((a, b) => a.source - b.source || a.dest - b.dest);
  return html`<details class="messages" open><summary>${say("messagesOf", { count: moving.length })}</summary>
    <ul>${moving.map((message) => html`<${Message} film=${film} message=${message} say=${say} />`)}</ul></details>`;
}

function Message({ film, message, say }) {
  const { source, dest, cells, bytes } = message, names = film.run.parts, parts = partsOf(cells);
  const key = areBlocks(film) ? "blocks" : "pieces";
  const what = names.length === 1 ? say(names[0]) : say(key, { count: parts.length, blocks: nameRuns(film, parts) });
  const values = [...new Set(cells.filter(Boolean).map((cell) => cell.value))];
  const from = film.joins && values.length === 1 ? ` (${say("of", { ranks: heldText(values, true, ", ") })})` : "";
  return html`<li><b>${source} → ${dest}</b> ${what}${from}${" "}
    ${names[0] !== "news" && html`<span class="size">${bytesText(bytes)}</span>`}</li>`;
}
