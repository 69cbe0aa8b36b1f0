// The picture: ranks and the messages between them.
import { colour } from "./colours.js";
import { count, current, flying, neverHeard, partsOf, reductions, waitsFor } from "./film.js";
import { html } from "./html.js";
import { fitting, heightOf, places, WIDTH } from "./layouts.js";
import { runs } from "./words.js";

// What a message carries, as short as can be: blocks "2", "0–3", "6 blocks"; of a vector that is
// never cut "all", or, where it is reduced, the ranks whose inputs are in it: "Σ0–3".
export function label(film, message, say) {
  const names = film.run.parts, parts = partsOf(message.cells);
  if (!parts.length) return "";
  if (names[0] === "news") return "✉\ufe0e";
  if (names.length === 1 && film.joins) {
    const ranks = message.cells[0].value.split(","), text = runs(ranks.map(Number), ",");
    return `Σ${text.length <= 6 ? text : ranks.length}`;
  }
  if (parts.length === names.length) return say("all");
  const text = nameRuns(film, parts);
  return text.length <= 5 ? text : say(areBlocks(film) ? "someBlocks" : "somePieces", { count: parts.length });
}

// The colour of a message, and the ink on it: of its first block, or of its source if there is one part.
export function hue({ run }, message) {
  const cell = message.cells.find(Boolean);
  return colour(cell && run.parts.length > 1 ? cell.at : message.source);
}

// Names of parts; neighbours as a run: "0–3", "s0–3".
export function nameRuns({ run }, parts) {
  const names = run.parts, [letter] = names[0].match(/^s?/);
  const numbered = names.every((name, k) => name === `${letter}${k}`);
  return numbered ? letter + runs(parts, ",") : parts.map((part) => names[part]).join(", ");
}

// Whether the parts of the vector are its blocks.
export const areBlocks = ({ run }) => run.parts.every((name, k) => name === String(k));

// A rank is smaller where there are many.
const radius = (p) => (p > 10 ? 16 : 19);

// A way from one rank to another, as three points of a curve that bends to one side.
function curve(from, to, bend, round) {
  const [dx, dy] = [to.x - from.x, to.y - from.y], length = Math.hypot(dx, dy) || 1;
  const off = bend && Math.max(15, Math.min(bend * length, 70));
  const middle = {
    x: (from.x + to.x) / 2 - (dy / length) * off,
    y: (from.y + to.y) / 2 + (dx / length) * off,
  };
  const cut = (at, by) => {
    const [x, y] = [middle.x - at.x, middle.y - at.y], far = Math.hypot(x, y) || 1;
    return { x: at.x + (x / far) * by, y: at.y + (y / far) * by };
  };
  return [cut(from, round), middle, cut(to, round + 5)];
}

const digits = (value) => Number(value.toFixed(1));

const path = (points) => {
  const [a, b, c] = points.map(({ x, y }) => `${digits(x)} ${digits(y)}`);
  return `M${a}Q${b} ${c}`;
};

// Where a message is that has come so far: in the end it stays before its destination, on a long way
// nearer to it, so that messages that cross do not hide each other.
const along = ([a, b, c], done) => {
  const f = 0.1 + done * (Math.hypot(c.x - a.x, c.y - a.y) > 150 ? 0.68 : 0.56);
  const mixed = (side) => digits((1 - f) ** 2 * a[side] + 2 * f * (1 - f) * b[side] + f * f * c[side]);
  return { x: mixed("x"), y: mixed("y") };
};

// The pairs of ranks that talk, each once.
function linksOf({ messages }) {
  const pairs = messages.map(({ source, dest }) => [Math.min(source, dest), Math.max(source, dest)]);
  return [...new Map(pairs.map((pair) => [pair.join(), pair])).values()];
}

export function Network({ film, t, from, layout, say, id }) {
  const links = linksOf(film.played), p = film.run.ranks.length, round = radius(p);
  const chosen = layout || fitting(p, links), where = places(chosen, p, links);
  const line = chosen === "line", bend = line ? 0.32 : 0.13;
  const way = ({ source, dest }) => curve(where[source], where[dest], bend, round);
  const moving = flying(film, t), sums = reductions(film, from, t);
  return html`<svg class="network" viewBox=${`0 0 ${WIDTH} ${heightOf(chosen)}`} role="img"
      aria-labelledby=${`${id}-name`}>
    <title id=${`${id}-name`}>${say("networkName", { algorithm: film.name, p })}</title>
    <defs><marker id=${`${id}-tip`} viewBox="0 0 8 8" refX="5" refY="4" markerWidth="8" markerHeight="8"
      markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.6 7 4 0 7.4z" class="tip" /></marker></defs>
    <g class="links">${links.map(([a, b]) => html`
      <path d=${path(curve(where[a], where[b], line ? bend : 0, round))} />`)}</g>
    <g class="arrows">${moving.map(({ message }) => html`
      <path d=${path(way(message))} marker-end=${`url(#${id}-tip)`} />`)}</g>
    <g class="waits">${film.run.ranks.flatMap((_, dest) => neverHeard(film, dest, t).map((source) => html`
      <path d=${path(way({ source: dest, dest: source }))} marker-end=${`url(#${id}-tip)`} />`))}</g>
    <g class="ranks">${where.map((place, rank) => html`
      <${Rank} film=${film} rank=${rank} t=${t} place=${place} round=${round} say=${say}
        sums=${sums.filter((x) => x.rank === rank).length} />`)}</g>
    <g class="messages">${moving.map(({ message, done }) => html`
      <${Pill} film=${film} message=${message} spot=${along(way(message), done)} say=${say} />`)}</g>
  </svg>`;
}

function Rank({ film, rank, t, place, round, say, sums }) {
  const waits = waitsFor(film, rank, t), ended = count(film, rank, t) === film.run.ranks[rank].length;
  const busy = current(film, rank, t) ? "busy" : "idle";
  const notes = film.who === rank ? [say(film.disturb)] : [];
  if (waits.length) notes.push(say("waitsShort", { ranks: runs(waits, ",") }));
  const plus = round - 4;
  return html`<g class=${`rank ${ended ? "ended" : waits.length ? "waits" : busy}`}
      transform=${`translate(${digits(place.x)} ${digits(place.y)})`}>
    <circle r=${round} /><text dy="0.36em">${rank}</text>
    ${sums > 0 && html`<g class="sum"><title>${say("summed", { count: sums })}</title>
      <circle cx=${plus} cy=${-plus} r="8" /><path d=${`M${plus} ${-plus - 4}v8m-4 -4h8`} /></g>`}
    ${notes.length > 0 && html`<text class="note" y=${round + 13}>${notes.join(", ")}</text>`}
  </g>`;
}

// The words on a message, in its colour.
export function Pill({ film, message, spot, say }) {
  const text = label(film, message, say), width = Math.max(20, 8 + text.length * 7.2);
  const [back, ink] = hue(film, message);
  return html`<g class="pill" transform=${`translate(${digits(spot.x)} ${digits(spot.y)})`}>
    <title>${`${message.source} → ${message.dest}: ${text}`}</title>
    <rect x=${-width / 2} y="-10" width=${width} height="20" rx="5" fill=${back} />
    <text dy="0.35em" fill=${ink}>${text}</text></g>`;
}
