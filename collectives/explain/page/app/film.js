// A film: one algorithm under the reader's settings, and what can be seen of it at a moment.
//
// A moment is a time on the clock the reader has chosen: beats of the lock-step animation,
// or seconds. The film stops where a beat ends, or where a message has come or a round ends.
import { unfolded } from "./data.js";
import { holdings, times } from "./engine.js";

export function film(data, name, state) {
  const algorithm = data.algorithms[name], packed = algorithm.runs[state.p];
  if (!packed) return { algorithm, name, stops: [0], end: 0 };
  const run = unfolded(packed);
  const machine = data.machines.find((one) => one.name === state.machine);
  const unit = Math.max(1, Math.ceil(state.n / (run.units * run.grain))) * run.grain;
  const who = Math.min(state.who, state.p - 1);
  const undisturbed = times(run, machine, unit);
  const disturbance = {
    late: { late: { [who]: state.much * undisturbed.time } },
    slow: { slow: { [who]: 1 + state.much } },
  }[state.clock === "time" ? state.disturb : ""];
  const played = disturbance ? times(run, machine, unit, disturbance) : undisturbed;
  const states = holdings(run, played);
  const path = times(run, { alpha: 1, beta: 0, gamma: 0 }, 0);
  const made = { algorithm, name, run, unit, bytes: unit * run.units, played, states, undisturbed, who: disturbance && who,
    critical: path.time, rounds: state.clock === "rounds" };
  made.stops = made.rounds ? Array.from({ length: played.beats + 1 }, (_, beat) => beat) : ends(played);
  made.end = made.stops.at(-1);
  made.path = (t) => Math.max(0, ...path.rounds.flatMap((mine, r) => mine.slice(0, count(made, r, t)).map((x) => x.end ?? 0)));
  return made;
}

// The moments at which something has ended, without those that differ by rounding only.
function ends({ rounds, messages }) {
  const all = [...rounds.flat().map((x) => x.end), ...messages.map((x) => x.arrived)].filter((x) => x !== undefined);
  const sorted = [0, ...all].sort((a, b) => a - b), limit = sorted.at(-1) * 1e-9;
  return sorted.filter((t, k) => k === 0 || t - sorted[k - 1] > limit);
}

// The stops of several films on one clock.
export function together(films) {
  const sorted = films.flatMap((one) => one.stops).sort((a, b) => a - b), limit = sorted.at(-1) * 1e-9;
  return sorted.filter((t, k) => k === 0 || t - sorted[k - 1] > limit);
}

// Times that were computed in different ways differ in the last digits.
const until = (film, t) => (film.rounds ? t : t + film.end * 1e-9);

// How many rounds a rank has ended at a moment.
export function count(film, rank, t) {
  const now = until(film, t);
  return film.played.rounds[rank].filter((x) => x.end !== undefined && (film.rounds ? x.until : x.end) <= now).length;
}

// The round in which a rank is at a moment, or which has just ended; undefined before the first.
export function current(film, rank, t) {
  const now = until(film, t);
  return film.played.rounds[rank].findLast((x) => (film.rounds ? x.beat - 1 < now : x.begin < t || (x.end <= now && t > 0)));
}

// Whether a rank waits for a message at a moment, and for whom.
export function waitsFor(film, rank, t) {
  const round = current(film, rank, t);
  if (!round || (round.end !== undefined && (film.rounds ? round.until <= t : round.end <= until(film, t)))) return [];
  const late = round.recvs.filter((x) => (film.rounds ? x.beat > Math.ceil(t) : x.left > until(film, t))).map((x) => x.source);
  const got = round.recvs.map((x) => x.source);
  const never = round.end === undefined ? film.run.ranks[rank][round.number - 1][2].map(([peer]) => peer).filter((x) => !got.includes(x)) : [];
  return [...late, ...never];
}

// The messages to be seen at a moment, each with how far it has come, from 0 to 1.
export function flying(film, t) {
  const { messages } = film.played;
  if (film.rounds) {
    const beat = Math.ceil(t);
    return messages.filter((x) => x.beat === beat).map((message) => ({ message, done: t > 0 ? t - beat + 1 : 0 }));
  }
  const now = until(film, t);
  return messages.filter((x) => t > 0 && x.left < t && (x.arrived ?? x.left + x.cost) >= t - film.end * 1e-9)
    .map((message) => ({ message, done: Math.min(1, (now - message.left) / ((message.arrived ?? message.left + message.cost) - message.left || 1)) }));
}

// The reductions that end at a stop, or since the stop before.
export function reductions(film, from, t) {
  return film.played.rounds.flat().filter((x) => x.end !== undefined && (film.rounds ? x.until === t : x.end > until(film, from) && x.end <= until(film, t)))
    .flatMap((round) => round.steps.filter((step) => step.kind === "r").map((step) => ({ round, step })));
}

// The parts of the vector in the cells of a message or step, by number, in order.
export function partsOf(run, cells) {
  return [...new Set((cells || []).filter(Boolean).map((cell) => cell.at))];
}

// What has been counted up to a moment.
export function totals(film, t) {
  const found = { bytes: 0, messages: 0, reductions: 0, path: 0 };
  film.played.rounds.forEach((mine, rank) => {
    const done = count(film, rank, t);
    for (const round of mine.slice(0, done)) {
      found.messages += round.recvs.length;
      found.bytes += round.recvs.reduce((sum, x) => sum + x.bytes, 0);
      found.reductions += round.steps.filter((x) => x.kind === "r").length;
    }
  });
  found.path = film.path(t);
  return found;
}
