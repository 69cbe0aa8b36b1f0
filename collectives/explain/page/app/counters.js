// What has been counted so far, in all, and what cannot be beaten.
import { totals } from "./film.js";
import { html } from "./html.js";
import { bytesText, secondsText } from "./words.js";

export function Counters({ film, t, bounds, state, say }) {
  const now = totals(film, t), all = totals(film, Infinity), { played, undisturbed } = film;
  const bound = bounds[film.run.ranks.length] || {};
  const sent = played.rounds.map((mine) => mine.flatMap((x) => x.sends).reduce((sum, x) => sum + x.bytes, 0));
  const got = played.rounds.map((mine) => mine.flatMap((x) => x.recvs).reduce((sum, x) => sum + x.bytes, 0));
  const work = played.rounds.map((mine) => mine.flatMap((x) => x.steps).filter((x) => x.kind === "r").reduce((sum, x) => sum + x.bytes, 0));
  const share = (name) => (bound[name] === undefined ? "" : bytesText(bound[name] * film.bytes));
  const rows = [
    film.rounds ? ["rounds", Math.floor(t), played.beats, ""] : ["time", secondsText(Math.min(t, played.time)), secondsText(played.time), ""],
    ["path", now.path, film.critical, bound.latency ?? ""],
    ["messages", now.messages, all.messages, ""],
    ...(film.run.scale ? [["bytes", bytesText(now.bytes), bytesText(all.bytes), ""],
      ["port", "", bytesText(Math.max(...sent, ...got)), share("bandwidth")]] : []),
    ...(film.joins ? [["reductions", now.reductions, all.reductions, ""], ["work", "", bytesText(Math.max(...work)), share("computation")]] : []),
    ...(film.rounds ? [["total", "", secondsText(undisturbed.time), ""]] : []),
  ];
  return html`<h3>${say("countersCaption")}</h3><table class="counters">
    <thead><tr><td></td><th scope="col">${say("soFar")}</th><th scope="col">${say("inAll")}</th><th scope="col">${say("bound")}</th></tr></thead>
    <tbody>${rows.map(([name, so, all, least]) => html`<tr class=${name}><th scope="row">${say(`count.${name}`)}</th>
      <td>${so}</td><td>${all}</td><td>${least === "" ? "" : `≥ ${least}`}</td></tr>`)}</tbody></table>`;
}
