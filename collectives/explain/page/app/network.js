// The picture: ranks and the messages between them.
import { count, current, flying, partsOf, reductions, waitsFor } from "./film.js";
import { colour } from "./colours.js";
import { fitting, heightOf, places, WIDTH } from "./layouts.js";
import { html } from "./html.js";
import { runs } from "./words.js";

const radius = (p) => (p > 10 ? 16 : 19);

export function linksOf(film) {
  const seen = new Map(film.played.messages.map(({ source, dest }) => [`${source} ${dest}`, [source, dest]]));
  return [...seen.values()];
}

// What a message carries, as short as can be: blocks "2", "0–3", "6 blocks"; of a vector that is
// never cut "all", or, where it is reduced, the ranks whose inputs are in it: "Σ0–3".
export function label(film, message, t) {
  const parts = partsOf(film.run, message.cells), value = message.cells[0]?.value;
  if (!parts.length) return "";
  if (film.run.parts[0] === "news") return "✉\ufe0e";
  if (film.run.parts.length === 1 && film.joins) {
    const ranks = value.split(","), text = runs(ranks.map(Number), ",");
    return `Σ${text.length <= 6 ? text : ranks.length}`;
  }
  if (parts.length === film.run.parts.length) return t("all");
  const text = nameRuns(film, parts);
  return text.length <= 5 ? text : t(areBlocks(film) ? "someBlocks" : "somePieces", { count: parts.length });
}

// The colour of a message: of its first block, or of the first rank whose input is in it.
export function hue(film, message) {
  const cell = message.cells.find(Boolean);
  if (film.run.parts[0] === "news") return colour(message.source);
  return colour(film.run.parts.length > 1 ? cell?.at ?? 0 : Number.parseInt(cell?.value ?? 0, 10) || 0);
}

// Names of parts; neighbours as a run: "0–3", "s0–3".
export function nameRuns(film, parts) {
  const names = film.run.parts, [letter] = names[0].match(/^s?/);
  return names.every((name, k) => name === `${letter}${k}`) ? letter + runs(parts, ",") : parts.map((part) => names[part]).join(", ");
}

// Whether the parts of the vector are its blocks.
export const areBlocks = (film) => film.run.parts.every((name, k) => name === String(k));

function curve(from, to, bend, round) {
  const [dx, dy] = [to.x - from.x, to.y - from.y], length = Math.hypot(dx, dy) || 1;
  const off = bend && Math.max(15, Math.min(bend * length, 70));
  const middle = { x: (from.x + to.x) / 2 - (dy / length) * off, y: (from.y + to.y) / 2 + (dx / length) * off };
  const cut = (at, toward, by) => {
    const [x, y] = [toward.x - at.x, toward.y - at.y], far = Math.hypot(x, y) || 1;
    return { x: at.x + (x / far) * by, y: at.y + (y / far) * by };
  };
  return [cut(from, middle, round), middle, cut(to, middle, round + 5)];
}

const at = ([a, b, c], f) => ({
  x: (1 - f) ** 2 * a.x + 2 * f * (1 - f) * b.x + f * f * c.x,
  y: (1 - f) ** 2 * a.y + 2 * f * (1 - f) * b.y + f * f * c.y,
});

const number = (value) => Number(value.toFixed(1));

export function Network({ film, t, from, layout, say, still, id }) {
  const links = linksOf(film), p = film.run.ranks.length;
  const chosen = layout || fitting(p, links), where = places(chosen, p, links);
  const moving = flying(film, t), sums = reductions(film, from, t);
  const round = radius(p), bend = chosen === "line" ? 0.32 : 0.13;
  return html`<svg class="network" viewBox=${`0 0 ${WIDTH} ${heightOf(chosen)}`} role="img" aria-labelledby=${`${id}-name`}>
    <title id=${`${id}-name`}>${say("networkName", { algorithm: film.name, p })}</title>
    <defs><marker id=${`${id}-tip`} viewBox="0 0 8 8" refX="5" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
      <path d="M0 0.6 7 4 0 7.4z" class="tip" /></marker></defs>
    <g class="links">${links.filter(([a, b]) => a < b || !links.some(([c, d]) => c === b && d === a)).map(([a, b]) => {
      const [from, middle, to] = curve(where[a], where[b], chosen === "line" ? bend : 0, round);
      return html`<path d=${`M${number(from.x)} ${number(from.y)}Q${number(middle.x)} ${number(middle.y)} ${number(to.x)} ${number(to.y)}`} />`;
    })}</g>
    <g class="arrows">${moving.map(({ message }) => {
      const [from, middle, to] = curve(where[message.source], where[message.dest], bend, round);
      return html`<path d=${`M${number(from.x)} ${number(from.y)}Q${number(middle.x)} ${number(middle.y)} ${number(to.x)} ${number(to.y)}`}
        marker-end=${`url(#${id}-tip)`} />`;
    })}</g>
    <g class="ranks">${where.map((place, rank) => html`<${Rank} film=${film} rank=${rank} t=${t} place=${place} say=${say} sums=${sums.filter((x) => x.round.rank === rank).length} />`)}</g>
    <g class="messages">${moving.map(({ message, done }) => {
      const f = 0.1 + 0.56 * (still ? 1 : done);
      const spot = at(curve(where[message.source], where[message.dest], bend, round), f);
      return html`<${Pill} film=${film} message=${message} spot=${spot} say=${say} />`;
    })}</g>
  </svg>`;
}

function Rank({ film, rank, t, place, say, sums }) {
  const waits = waitsFor(film, rank, t), ended = count(film, rank, t) === film.run.ranks[rank].length;
  const state = ended ? "ended" : waits.length ? "waits" : current(film, rank, t) ? "busy" : "idle";
  const round = radius(film.run.ranks.length);
  return html`<g class=${`rank ${state}`} transform=${`translate(${number(place.x)} ${number(place.y)})`}>
    <circle r=${round} /><text dy="0.36em">${rank}</text>
    ${sums > 0 && html`<g class="sum"><title>${say("summed", { count: sums })}</title><circle cx=${round - 4} cy=${4 - round} r="8" /><path d=${`M${round - 4} ${-round}v8m-4 -4h8`} /></g>`}
    ${waits.length > 0 && html`<text class="note" y=${round + 13}>${say("waitsShort", { ranks: runs(waits, ",") })}</text>`}
    ${film.who === rank && html`<text class="note" y=${-round - 5}>${say(film.disturb)}</text>`}
  </g>`;
}

function Pill({ film, message, spot, say }) {
  const text = label(film, message, say), width = Math.max(20, 8 + text.length * 7.2);
  const [back, ink] = hue(film, message);
  return html`<g class="pill" transform=${`translate(${number(spot.x)} ${number(spot.y)})`}>
    <title>${`${message.source} → ${message.dest}: ${text}`}</title>
    <rect x=${-width / 2} y="-10" width=${width} height="20" rx="5" fill=${back} />
    <text dy="0.35em" fill=${ink}>${text}</text></g>`;
}
