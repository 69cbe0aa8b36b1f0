// The space-time diagram: ranks across, time down, a line for every message.
import { flying } from "./film.js";
import { html, useMemo } from "./html.js";
import { hue, Pill } from "./network.js";
import { secondsText } from "./words.js";

const WIDE = 640, LEFT = 74, TOP = 34, BOTTOM = 16;

// Where things are: x of a rank, y of a moment. `rows` is the number of moments to be told apart.
function scales(film, end, rows) {
  const step = (WIDE - LEFT - 14) / film.run.ranks.length;
  const beat = Math.max(27, Math.min(64, 420 / end));
  const height = film.rounds ? end * beat : Math.max(320, Math.min(760, rows * 13));
  return {
    height, half: Math.min(7, step / 5), // of what is drawn on a rank
    x: (rank) => LEFT + (rank + 0.5) * step,
    y: (t) => TOP + (end ? (t / end) * height : 0),
  };
}

// From when to when a message is drawn; in lock-step it leaves the edges of its beat free.
function span(film, { leaves, lands }) {
  const edge = film.rounds ? 0.1 : 0;
  return [leaves + edge, lands - edge];
}

export function Spacetime({ film, t, end, rows, say, go, id }) {
  const at = scales(film, end, rows), full = at.height + TOP + BOTTOM;
  const chart = useMemo(() => html`
    <${Axis} film=${film} at=${at} end=${end} say=${say} />
    <${Lanes} film=${film} at=${at} end=${end} say=${say} />`, [film, end, rows, say]);
  const click = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const y = ((event.clientY - box.top) / box.height) * full;
    go(((y - TOP) / at.height) * end);
  };
  const now = flying(film, t).map(({ message }) => message);
  return html`<svg class="spacetime" viewBox=${`0 0 ${WIDE} ${full}`} role="img" aria-labelledby=${`${id}-st`}
      onClick=${click}>
    <title id=${`${id}-st`}>${say("spacetimeName", { algorithm: film.name, p: film.run.ranks.length })}</title>
    ${chart}
    <g class="now">${now.map((message) => html`<${Line} film=${film} message=${message} at=${at} />`)}
      ${now.map((message) => html`
        <${Pill} film=${film} message=${message} spot=${spot(film, message, at)} say=${say} />`)}</g>
    <g class="cursor"><line x1=${LEFT - 8} x2=${WIDE} y1=${at.y(t)} y2=${at.y(t)} />
      <path d=${`M${LEFT - 8} ${at.y(t)}l-7 -5v10z`} /></g>
  </svg>`;
}

function Axis({ film, at, end, say }) {
  const beats = film.rounds ? Array.from({ length: end }, (_, k) => k) : [];
  const beat = (k) => [at.y(k + 0.5), say("roundShort", { round: k + 1 })];
  const second = (k) => [at.y((end * k) / 5), secondsText((end * k) / 5)];
  const marks = film.rounds ? beats.map(beat) : [0, 1, 2, 3, 4, 5].map(second);
  return html`<g class="axis">
    ${beats.map((k) => html`<line x1=${LEFT} x2=${WIDE} y1=${at.y(k + 1)} y2=${at.y(k + 1)} />`)}
    ${marks.map(([y, text]) => html`<text x=${LEFT - 20} y=${y + 4}>${text}</text>`)}
    ${film.run.ranks.map((_, rank) => html`<text class="name" x=${at.x(rank)} y="18">${rank}</text>`)}</g>`;
}

function Lanes({ film, at, end, say }) {
  const { rounds, messages, finished } = film.played;
  const Lane = film.rounds ? BeatLane : TimeLane;
  return html`<g class="lanes">${rounds.map((mine, rank) => html`
      <line class="lane" x1=${at.x(rank)} x2=${at.x(rank)} y1=${at.y(0)}
        y2=${at.y(film.rounds ? end : finished[rank] ?? end)} />
      <${Lane} rounds=${mine} x=${at.x(rank)} at=${at} say=${say} />`)}</g>
    <g class="flights">${messages.map((message) => html`
      <${Line} film=${film} message=${message} at=${at} />`)}</g>`;
}

// A rank in lock-step: a box for each round, dark at its foot where it reduces.
function BeatLane({ rounds, x, at }) {
  const { half } = at, sums = rounds.filter((round) => round.steps.some((step) => step.kind === "r"));
  return html`${rounds.map(({ opens, until }) => html`
      <rect class="round" x=${x - half} width=${2 * half} rx="3" y=${at.y(opens) + 3}
        height=${at.y(until) - at.y(opens) - 6} />`)}
    ${sums.map(({ until }) => html`
      <rect class="work" x=${x - half} width=${2 * half} y=${at.y(until) - 9} height="6" />`)}`;
}

// A rank in true time: what comes in on the left, what goes out on the right, reductions across.
function TimeLane({ rounds, x, at, say }) {
  const { half } = at, all = (key) => rounds.flatMap((round) => round[key]);
  const bar = (kind, left, width, from, to) => html`
    <rect class=${kind} x=${left} width=${width} y=${at.y(from)} height=${Math.max(1, at.y(to) - at.y(from))} />`;
  return html`
    ${all("sends").map((one) => bar("out", x, half, one.left, one.left + one.cost))}
    ${all("recvs").filter((one) => one.arrived !== undefined)
      .map((one) => bar("in", x - half, half, one.arrived - one.cost, one.arrived))}
    ${all("steps").filter((one) => one.end > one.begin)
      .map((one) => bar("work", x - half, 2 * half, one.begin, one.end))}
    ${rounds.filter((round) => round.end === undefined).map((round) => html`
      <text class="stuck" x=${x} y=${at.y(round.ends) + 16}>${say("stuck")}</text>`)}`;
}

function Line({ film, message, at }) {
  const [from, to] = span(film, message), [back] = hue(film, message);
  const ends = { x1: at.x(message.source), x2: at.x(message.dest), y1: at.y(from), y2: at.y(to) };
  return html`<g class=${message.taken ? "flight" : "flight lost"}>
    <line class="case" ...${ends} /><line stroke=${back} ...${ends} />
    <circle r="2.6" cx=${ends.x2} cy=${ends.y2} /></g>`;
}

// Where the words on a message are: on its way to the right early, to the left late, so that those who
// swap do not hide each other; on a long way near its destination, beside the short ones.
function spot(film, message, at) {
  const [from, to] = span(film, message), far = message.dest - message.source;
  const f = Math.abs(far) * 2 > film.run.ranks.length ? 0.94 : far > 0 ? 0.3 : 0.7;
  const between = (a, b) => a + (b - a) * f;
  return { x: between(at.x(message.source), at.x(message.dest)), y: between(at.y(from), at.y(to)) };
}
