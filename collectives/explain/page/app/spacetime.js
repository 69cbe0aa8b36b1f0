// The space-time diagram: ranks across, time down, a line for every message.
import { flying } from "./film.js";
import { html, useMemo } from "./html.js";
import { hue, label } from "./network.js";
import { secondsText } from "./words.js";

const WIDE = 640, LEFT = 74, TOP = 34;

// Where things are: x of a rank, y of a moment. `rows` is the number of moments to be told apart.
function scales(film, end, rows) {
  const p = film.run.ranks.length, step = (WIDE - LEFT - 14) / p;
  const height = film.rounds ? end * Math.max(27, Math.min(64, 420 / end)) : Math.max(320, Math.min(760, rows * 13));
  return { step, height, x: (rank) => LEFT + (rank + 0.5) * step, y: (t) => TOP + (end ? (t / end) * height : 0) };
}

// From when to when a message is drawn: in lock-step all of its beat.
function span(film, message) {
  if (film.rounds) return [message.beat - 0.9, message.beat - 0.1];
  return [message.left, message.arrived ?? message.left + message.cost];
}

export function Spacetime({ film, t, end, rows, say, go, id }) {
  const at = scales(film, end, rows);
  const chart = useMemo(() => html`<${Lanes} film=${film} at=${at} end=${end} say=${say} />`, [film, end, rows, say]);
  const click = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const y = ((event.clientY - box.top) / box.height) * (at.height + TOP + 16);
    go(((y - TOP) / at.height) * end);
  };
  const now = flying(film, t);
  return html`<svg class="spacetime" viewBox=${`0 0 ${WIDE} ${at.height + TOP + 16}`} role="img" aria-labelledby=${`${id}-st`} onClick=${click}>
    <title id=${`${id}-st`}>${say("spacetimeName", { algorithm: film.name, p: film.run.ranks.length })}</title>
    ${chart}
    <g class="now">${now.map(({ message }) => html`<${Line} film=${film} message=${message} at=${at} />`)}
      ${now.map(({ message }) => html`<${Label} film=${film} message=${message} at=${at} say=${say} />`)}</g>
    <g class="cursor"><line x1=${LEFT - 8} x2=${WIDE} y1=${at.y(t)} y2=${at.y(t)} />
      <path d=${`M${LEFT - 8} ${at.y(t)}l-7 -5v10z`} /></g>
  </svg>`;
}

function Lanes({ film, at, end, say }) {
  const { rounds, messages, finished } = film.played, half = Math.min(7, at.step / 5);
  const ticks = film.rounds ? Array.from({ length: end }, (_, k) => ({ y: at.y(k + 0.5), text: say("roundShort", { round: k + 1 }) }))
    : Array.from({ length: 6 }, (_, k) => ({ y: at.y((end * k) / 5), text: secondsText((end * k) / 5) }));
  const block = (x, from, to, wide, kind) => html`<rect class=${kind} x=${x} width=${wide} y=${at.y(from)} height=${Math.max(1, at.y(to) - at.y(from))} />`;
  return html`<g class="axis">
      ${film.rounds && Array.from({ length: end }, (_, k) => html`<line x1=${LEFT} x2=${WIDE} y1=${at.y(k + 1)} y2=${at.y(k + 1)} />`)}
      ${ticks.map(({ y, text }) => html`<text x=${LEFT - 20} y=${y + 4}>${text}</text>`)}
      ${rounds.map((_, rank) => html`<text class="name" x=${at.x(rank)} y="18">${rank}</text>`)}</g>
    <g class="lanes">${rounds.map((mine, rank) => html`
      <line class="lane" x1=${at.x(rank)} x2=${at.x(rank)} y1=${at.y(0)} y2=${at.y(film.rounds ? end : finished[rank] ?? end)} />
      ${mine.map((round) => film.rounds
        ? html`<rect class="round" x=${at.x(rank) - half} width=${2 * half} rx="3" y=${at.y(round.beat - 1) + 3} height=${Math.max(2, at.y(round.until) - at.y(round.beat - 1) - 6)} />
          ${round.steps.some((x) => x.kind === "r") && html`<rect class="work" x=${at.x(rank) - half} width=${2 * half} y=${at.y(round.until) - 9} height="6" />`}`
        : html`${round.sends.map((x) => block(at.x(rank), x.left, x.left + x.cost, half, "out"))}
          ${round.recvs.filter((x) => x.arrived !== undefined).map((x) => block(at.x(rank) - half, x.arrived - x.cost, x.arrived, half, "in"))}
          ${round.steps.filter((x) => x.end > x.begin).map((x) => block(at.x(rank) - half, x.begin, x.end, 2 * half, "work"))}
          ${round.end === undefined && html`<text class="stuck" x=${at.x(rank)} y=${at.y(round.ends) + 16}>${say("stuck")}</text>`}`)}
    `)}</g>
    <g class="flights">${messages.map((message) => html`<${Line} film=${film} message=${message} at=${at} />`)}</g>`;
}

function Line({ film, message, at }) {
  const [from, to] = span(film, message);
  const [x1, x2, y1, y2] = [at.x(message.source), at.x(message.dest), at.y(from), at.y(to)];
  const [back] = hue(film, message);
  return html`<g class=${message.taken ? "flight" : "flight lost"}><line class="case" x1=${x1} x2=${x2} y1=${y1} y2=${y2} />
    <line stroke=${back} x1=${x1} x2=${x2} y1=${y1} y2=${y2} /><circle r="2.6" cx=${x2} cy=${y2} /></g>`;
}

// What a message carries, near its source; of a long way near its destination, beside the short ones.
function Label({ film, message, at, say }) {
  const [from, to] = span(film, message), text = label(film, message, say), width = 8 + text.length * 7;
  const [back, ink] = hue(film, message);
  const f = Math.abs(message.source - message.dest) * 2 > film.run.ranks.length ? 0.94 : 0.34;
  const x = at.x(message.source) * (1 - f) + at.x(message.dest) * f, y = at.y(from) * (1 - f) + at.y(to) * f;
  return html`<g class="pill" transform=${`translate(${x} ${y})`}><rect x=${-width / 2} y="-9" width=${width} height="18" rx="5" fill=${back} />
    <text dy="0.35em" fill=${ink}>${text}</text></g>`;
}
