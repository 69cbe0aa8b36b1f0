// The source, with the line at which every rank stands.
import { current } from "./film.js";
import { html } from "./html.js";
import { runs } from "./words.js";

// The ranks at each line, by "code line": those who stand there, and those who stand in what is called.
function standing(film, t) {
  const found = new Map();
  film.run.ranks.forEach((_, rank) => {
    const place = film.algorithm.places[current(film, rank, t)?.place] ?? [];
    place.forEach(([code, line], depth) => {
      const key = `${code} ${line}`;
      if (!found.has(key)) found.set(key, { inner: [], outer: [] });
      found.get(key)[depth === place.length - 1 ? "inner" : "outer"].push(rank);
    });
  });
  return found;
}

export function Source({ film, t, say }) {
  const { code, places } = film.algorithm, here = standing(film, t);
  const met = film.run.ranks.flatMap((mine) => mine.flatMap(([place]) => places[place]));
  const used = new Set([0, ...met.map(([number]) => number)]);
  return html`<div class="source">${code.map((one, number) => used.has(number) && html`
    <${Function} number=${number} code=${one} here=${here} say=${say} />`)}</div>`;
}

function Function({ number, code, here, say }) {
  const name = say("sourceName", { file: code.file, name: code.function });
  return html`<figure><figcaption><code>${code.file}</code></figcaption>
    <div class="scroll" tabindex="0" role="region" aria-label=${name}><ol class="code">
      ${code.lines.map(([line, text]) => html`
        <${Line} line=${line} text=${text} ranks=${here.get(`${number} ${line}`)} say=${say} />`)}
    </ol></div></figure>`;
}

function Line({ line, text, ranks, say }) {
  const kind = !ranks ? "" : ranks.inner.length ? "here" : "called";
  const indent = text.search(/\S|$/) + 4; // of what does not fit on the line
  return html`<li class=${kind}>
    <span class="chips">${kind === "here" && html`<b><${Ranks} ranks=${ranks.inner} say=${say} /></b>`}
      ${kind === "called" && html`<i><${Ranks} ranks=${ranks.outer} say=${say} /></i>`}</span>
    <span class="line">${line}</span><code style=${{ "--hang": `${indent}ch` }}>${text || " "}</code></li>`;
}

// Some ranks, by number where that is short.
function Ranks({ ranks, say }) {
  const all = runs(ranks), text = all.length > 8 ? say("someRanks", { count: ranks.length }) : all;
  return html`<span title=${say("ranksHere", { ranks: all })}>
    <span class="hidden">${say("standHere")}</span>${text}</span>`;
}
