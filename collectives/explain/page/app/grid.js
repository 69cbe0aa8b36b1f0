// The grid of holdings: rank by part, whose contributions each rank holds.
import { colour } from "./colours.js";
import { count } from "./film.js";
import { html, useMemo } from "./html.js";
import { runs } from "./words.js";

// A value such as "0,1,2" as numbers; -1 is what should not be there.
const ranksOf = (value) => value.split(",").map((rank) => (rank === "?" ? -1 : Number(rank)));

const ascending = (numbers) => [...new Set(numbers)].sort((a, b) => a - b);

// What is held of a part, as text: what is joined in its order, what is separate beside it.
export function heldText(values, joins, comma = ",") {
  if (!joins) return runs(ascending(values.flatMap(ranksOf)), comma);
  return values.map((value) => runs(ranksOf(value), comma).replaceAll("-1", "?")).join(" | ");
}

// Whether what is held of a part is all that the rank should end with.
function complete({ run, joins }, rank, unit, values) {
  const wanted = run.wanted[rank].find(([at, units]) => unit >= at && unit < at + units);
  if (!wanted) return false;
  const [, , first, stop] = wanted;
  const all = Array.from({ length: stop - first }, (_, k) => first + k);
  const enough = (ranks) => all.every((one) => ranks.includes(one));
  const sets = values.map(ranksOf);
  return joins ? sets.some((ranks) => ranks.length === all.length && enough(ranks)) : enough(sets.flat());
}

// A bar with a field for every rank, coloured where its contribution is held.
function bar(ranks, p) {
  const fields = Array.from({ length: p }, (_, rank) => {
    const [from, to] = [rank, rank + 1].map((edge) => `${((100 * edge) / p).toFixed(2)}%`);
    return `${ranks.includes(rank) ? colour(rank)[0] : "transparent"} ${from} ${to}`;
  });
  return `linear-gradient(to right, ${fields.join(", ")})`;
}

// What every rank holds at a moment, and what has changed since another one.
export function Grid({ film, t, from, say }) {
  const { run, states, name } = film, ranks = run.ranks.map((_, rank) => rank);
  const [now, before] = [t, from].map((moment) => ranks.map((rank) => count(film, rank, moment)));
  const caption = run.units > 1 ? "gridCaption" : run.parts[0] === "news" ? "gridNews" : "gridWhole";
  const kind = run.units > 8 ? "narrow" : run.units < 3 && film.mixes ? "wide" : "";
  const header = (part) => (part === "all" || part === "news" ? say(part) : part);
  const cell = (rank, unit) => {
    const values = states[rank][now[rank]][unit];
    const old = states[rank].slice(0, before[rank] + 1).flatMap((state) => state[unit]);
    return html`<${Cell} film=${film} rank=${rank} unit=${unit} values=${values} say=${say}
      fresh=${values.some((value) => !old.includes(value))} />`;
  };
  const row = (rank) => html`<tr><th scope="row">${rank}</th>${run.parts.map((_, unit) => cell(rank, unit))}</tr>`;
  return useMemo(() => html`<h3>${say("grid")}</h3><p class="hint">${say(caption)}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${say("gridName", { algorithm: name })}>
      <table class=${`grid ${kind}`} aria-label=${say("gridName", { algorithm: name })}>
        <thead><tr><th scope="col"><span class="hidden">${say("rank")}</span></th>
          ${run.parts.map((part) => html`<th scope="col">${header(part)}</th>`)}</tr></thead>
        <tbody>${ranks.map(row)}</tbody></table></div>`, [film, say, now.join(), before.join()]);
}

function Cell({ film, rank, unit, values, fresh, say }) {
  if (!values.length) return html`<td><span class="none">·</span></td>`;
  const p = film.run.ranks.length, all = values.flatMap(ranksOf), text = heldText(values, film.joins);
  const short = text.length > (film.run.units > 8 ? 4 : 9) ? `${new Set(all).size}/${p}` : text;
  const full = complete(film, rank, unit, values);
  const title = say("holds", { rank, part: film.run.parts[unit], ranks: heldText(values, film.joins, ", ") });
  return html`<td class=${`${full ? "full" : ""} ${fresh ? "fresh" : ""}`} title=${title}>
    <span class="held">${short}</span>${full && html`<span class="hidden">${say("complete")}</span>`}
    ${film.mixes && html`<span class="bar" style=${{ backgroundImage: bar(all, p) }}></span>`}</td>`;
}
