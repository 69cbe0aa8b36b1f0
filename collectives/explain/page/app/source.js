// The source, with the line at which every rank stands.
import { current } from "./film.js";
import { html } from "./html.js";
import { runs } from "./words.js";

// The ranks at each line: those that stand there, and those that stand in what is called there.
function standing(film, t) {
  const found = new Map();
  film.run.ranks.forEach((_, rank) => {
    const round = current(film, rank, t);
    if (!round) return;
    const place = film.algorithm.places[round.place];
    place.forEach(([code, line], depth) => {
      const key = `${code} ${line}`, inner = depth === place.length - 1;
      if (!found.has(key)) found.set(key, { inner: [], outer: [] });
      found.get(key)[inner ? "inner" : "outer"].push(rank);
    });
  });
  return found;
}

export function Source({ film, t, say }) {
  const here = standing(film, t), used = new Set([0]);
  for (const mine of film.run.ranks) for (const [place] of mine) for (const [code] of film.algorithm.places[place]) used.add(code);
  return html`<div class="source">${film.algorithm.code.map((code, number) => used.has(number) && html`
    <figure><figcaption><code>${code.file}</code></figcaption>
      <div class="scroll" tabindex="0" role="region" aria-label=${say("sourceName", { file: code.file, name: code.function })}>
      <ol class="code">${code.lines.map(([line, text]) => {
        const ranks = here.get(`${number} ${line}`);
        return html`<li class=${ranks ? (ranks.inner.length ? "here" : "called") : ""}>
          <span class="chips">${ranks && html`<${Chip} kind=${ranks.inner.length ? "b" : "i"} ranks=${ranks.inner.length ? ranks.inner : ranks.outer} say=${say} />`}</span>
          <span class="line">${line}</span><code style=${{ "--hang": `${text.search(/\S|$/) + 4}ch` }}>${text || " "}</code></li>`;
      })}</ol></div></figure>`)}</div>`;
}

// The ranks at a line, by number where that is short.
function Chip({ kind, ranks, say }) {
  const all = runs(ranks), text = all.length > 9 ? say("someRanks", { count: ranks.length }) : all;
  return html`<${kind} title=${say("ranksHere", { ranks: all })}><span class="hidden">${say("standHere")}</span>${text}</${kind}>`;
}
