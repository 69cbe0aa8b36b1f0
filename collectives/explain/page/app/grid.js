// The grid of holdings: rank by block, whose contributions each rank holds.
import { colour } from "./colours.js";
import { count } from "./film.js";
import { html, useMemo } from "./html.js";
import { runs } from "./words.js";

// A value such as "0,1,2" as numbers.
export const ranksOf = (value) => value.split(",").map((rank) => (rank === "?" ? -1 : Number(rank)));

const ascending = (numbers) => [...new Set(numbers)].sort((a, b) => a - b);

// What is held of a unit, as text: what is joined in order, what is separate beside it.
export function heldText(values, joins, comma = ",") {
  if (!joins) return runs(ascending(values.flatMap(ranksOf)), comma);
  return values.map((value) => runs(ranksOf(value), comma).replaceAll("-1", "?")).join(" | ");
}

// Whether what is held of a unit is all that the rank should end with.
export function complete(film, rank, unit, values) {
  const wanted = film.run.wanted[rank].find(([first, units]) => unit >= first && unit < first + units);
  if (!wanted) return false;
  const [, , first, stop] = wanted;
  const enough = (ranks) => new Set(ranks).size >= stop - first && Array.from({ length: stop - first }, (_, k) => first + k).every((x) => ranks.includes(x));
  const sets = values.map(ranksOf);
  return film.joins ? sets.some((ranks) => ranks.length === stop - first && enough(ranks)) : enough(sets.flat());
}

// A bar with a field for every rank, coloured where its contribution is held.
function bar(ranks, p) {
  const held = new Set(ranks);
  const fields = Array.from({ length: p }, (_, rank) => {
    const [from, to] = [(100 * rank) / p, (100 * (rank + 1)) / p];
    return `${held.has(rank) ? colour(rank)[0] : "transparent"} ${from.toFixed(2)}% ${to.toFixed(2)}%`;
  });
  return `linear-gradient(to right, ${fields.join(", ")})`;
}

export function Grid({ film, t, from, say }) {
  const { run, states } = film, p = run.ranks.length;
  const now = run.ranks.map((_, rank) => count(film, rank, t)), before = run.ranks.map((_, rank) => count(film, rank, from));
  return useMemo(() => html`<h3>${say("grid")}</h3><p class="hint">${say("gridCaption")}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${say("gridName", { algorithm: film.name })}>
    <table class=${`grid ${run.units > 8 ? "narrow" : run.units < 3 && film.mixes ? "wide" : ""}`} aria-label=${say("gridName", { algorithm: film.name })}>
      <thead><tr><th scope="col"><span class="hidden">${say("rank")}</span></th>
        ${run.parts.map((name) => html`<th scope="col">${name === "all" || name === "news" ? say(name) : name}</th>`)}</tr></thead>
      <tbody>${run.ranks.map((_, rank) => html`<tr><th scope="row">${rank}</th>
        ${run.parts.map((_, unit) => {
          const values = states[rank][now[rank]][unit], old = states[rank][before[rank]][unit];
          return html`<${Cell} film=${film} rank=${rank} unit=${unit} p=${p} values=${values}
            fresh=${values.some((value) => !old.includes(value))} say=${say} />`;
        })}</tr>`)}</tbody>
    </table></div>`, [film, say, now.join(), before.join()]);
}

function Cell({ film, rank, unit, values, p, fresh, say }) {
  if (!values.length) return html`<td class=${fresh ? "fresh" : ""}><span class="none">·</span></td>`;
  const text = heldText(values, film.joins), all = values.flatMap(ranksOf);
  const full = complete(film, rank, unit, values);
  const short = text.length > (film.run.units > 8 ? 4 : 9) ? `${new Set(all).size}/${p}` : text;
  return html`<td class=${`${full ? "full" : ""} ${fresh ? "fresh" : ""}`} title=${say("holds", { rank, part: film.run.parts[unit], ranks: heldText(values, film.joins, ", ") })}>
    <span class="held">${short}</span>${full && html`<span class="hidden">${say("complete")}</span>`}
    ${film.mixes && html`<span class="bar" style=${{ backgroundImage: bar(all, p) }}></span>`}</td>`;
}
