// What has been counted so far, in all, and what cannot be beaten.
import { totals } from "./film.js";
import { html } from "./html.js";
import { bytesText, secondsText } from "./words.js";

const sum = (items) => items.reduce((all, item) => all + item.bytes, 0);
const isSum = (step) => step.kind === "r";

// Rows: what, so far, in all, the least possible.
function rowsOf(film, t, bound) {
  const { played, undisturbed, run } = film, now = totals(film, t), all = totals(film, Infinity);
  const of = (key) => played.rounds.map((mine) => mine.flatMap((round) => round[key]));
  const port = Math.max(...of("sends").map(sum), ...of("recvs").map(sum));
  const work = Math.max(...of("steps").map((steps) => sum(steps.filter(isSum))));
  const least = (term) => (bound[term] === undefined ? "" : bytesText(bound[term] * film.bytes));
  const rows = film.rounds ? [["rounds", Math.floor(t), played.beats, ""]]
    : [["time", secondsText(Math.min(t, played.time)), secondsText(played.time), ""]];
  rows.push(["path", now.path, film.path.time, bound.latency ?? ""], ["messages", now.messages, all.messages, ""]);
  if (run.scale) {
    rows.push(["bytes", bytesText(now.bytes), bytesText(all.bytes), ""]);
    rows.push(["port", "", bytesText(port), least("bandwidth")]);
  }
  if (film.joins) {
    rows.push(["reductions", now.reductions, all.reductions, ""]);
    rows.push(["work", "", bytesText(work), least("computation")]);
  }
  if (film.rounds) rows.push(["total", "", secondsText(undisturbed.time), ""]);
  return rows;
}

export function Counters({ film, t, bounds, say }) {
  const rows = rowsOf(film, t, bounds[film.run.ranks.length]);
  return html`<h3>${say("countersCaption")}</h3><table class="counters">
    <thead><tr><td></td>${["soFar", "inAll", "bound"].map((key) => html`<th scope="col">${say(key)}</th>`)}</tr></thead>
    <tbody>${rows.map(([name, so, all, least]) => html`<tr class=${name}><th scope="row">${say(`count.${name}`)}</th>
      <td>${so}</td><td>${all}</td><td>${least === "" ? "" : `≥ ${least}`}</td></tr>`)}</tbody></table>`;
}
