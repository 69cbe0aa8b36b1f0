// A film: one algorithm under the reader's settings, and what can be seen of it at a moment.
//
// A moment is a time on the clock the reader has chosen: beats of the lock-step animation, or
// seconds. The film stops where a beat ends, or where a message has come or a round has ended.
import { unfolded } from "./data.js";
import { holdings, times } from "./engine.js";

export function film(data, name, state) {
  const algorithm = data.algorithms[name], packed = algorithm.runs[state.p];
  if (!packed) return { algorithm, name, stops: [0], end: 0 };
  const run = unfolded(packed), rounds = state.clock === "rounds";
  const machine = data.machines.find((one) => one.name === state.machine);
  const unit = Math.max(1, Math.ceil(state.n / (run.units * run.grain))) * run.grain;
  const undisturbed = times(run, machine, unit), who = Math.min(state.who, state.p - 1);
  const disturbances = {
    late: { late: { [who]: state.much * undisturbed.time } },
    slow: { slow: { [who]: 1 + state.much } },
  };
  const disturbance = rounds ? undefined : disturbances[state.disturb];
  const played = timed(disturbance ? times(run, machine, unit, disturbance) : { ...undisturbed }, rounds);
  const path = times(run, { alpha: 1, beta: 0, gamma: 0 }, 0);
  const stops = rounds ? Array.from({ length: played.beats + 1 }, (_, beat) => beat) : ends(played);
  const end = stops.at(-1);
  return {
    algorithm, name, run, unit, bytes: unit * run.units, rounds, played, undisturbed, path, stops, end,
    close: rounds ? 0 : end * 1e-9, // moments that differ by less are the same
    states: holdings(run, played),
    joins: data.reduces, mixes: data.mixes,
    disturb: disturbance && state.disturb, who: disturbance && who,
  };
}

// The same with every round's `opens` and `closes`, and every message's `leaves` and `lands`, on the
// clock of the film. A round that waits for ever never closes.
function timed(played, rounds) {
  for (const x of played.rounds.flat()) {
    x.opens = rounds ? x.beat - 1 : x.begin;
    x.closes = rounds && x.end !== undefined ? x.until : x.end;
  }
  for (const x of played.messages) {
    x.leaves = rounds ? x.beat - 1 : x.left;
    x.lands = rounds ? x.beat : x.arrived ?? x.left + x.cost;
  }
  return played;
}

// The moments at which something has ended.
function ends({ rounds, messages }) {
  const all = [0, ...rounds.flat().map((x) => x.end), ...messages.map((x) => x.arrived)];
  return distinct(all.filter((moment) => moment !== undefined));
}

// In order, without those that differ by rounding only.
function distinct(moments) {
  const sorted = moments.sort((a, b) => a - b), limit = sorted.at(-1) * 1e-9;
  return sorted.filter((moment, k) => k === 0 || moment - sorted[k - 1] > limit);
}

// The stops of several films on one clock.
export const together = (films) => distinct(films.flatMap((one) => one.stops));

// How many rounds a rank has ended at a moment.
export function count(film, rank, t) {
  return film.played.rounds[rank].filter((x) => x.closes <= t + film.close).length;
}

// The round in which a rank is at a moment, or which has just ended; undefined before the first.
export function current(film, rank, t) {
  const here = (x) => x.opens < t - film.close || x.closes <= t + film.close;
  return t > 0 ? film.played.rounds[rank].findLast(here) : undefined;
}

// The ranks for whose messages a rank waits at a moment.
export function waitsFor(film, rank, t) {
  const round = current(film, rank, t);
  if (!round || round.closes <= t + film.close) return [];
  const later = round.recvs.filter((x) => x.leaves >= t - film.close).map((x) => x.source);
  return [...later, ...neverHeard(film, rank, t)];
}

// The ranks for whose messages a rank waits at a moment, and will for ever.
export function neverHeard(film, rank, t) {
  const round = current(film, rank, t);
  if (!round || round.end !== undefined) return [];
  const got = round.recvs.map((x) => x.source);
  return round.wanted.filter((peer) => !got.includes(peer));
}

// The messages to be seen at a moment, each with how far it has come, from 0 to 1.
export function flying(film, t) {
  const seen = film.played.messages.filter((x) => x.leaves < t - film.close && x.lands >= t - film.close);
  return seen.map((message) => ({
    message, done: Math.min(1, (t - message.leaves) / (message.lands - message.leaves || 1)),
  }));
}

// The reductions that have ended since another moment: of each, its round.
export function reductions(film, from, t) {
  const ended = (x) => x.closes > from + film.close && x.closes <= t + film.close;
  const sums = (x) => x.steps.filter((step) => step.kind === "r").map(() => x);
  return film.played.rounds.flat().filter(ended).flatMap(sums);
}

// The parts of the vector in the cells of a message, by number, in order.
export function partsOf(cells) {
  return [...new Set(cells.filter(Boolean).map((cell) => cell.at))];
}

// What has been counted up to a moment.
export function totals(film, t) {
  const done = film.played.rounds.map((mine, rank) => mine.slice(0, count(film, rank, t)));
  const rounds = done.flat(), messages = rounds.flatMap((x) => x.recvs);
  return {
    messages: messages.length,
    bytes: messages.reduce((sum, x) => sum + x.bytes, 0),
    reductions: rounds.flatMap((x) => x.steps).filter((x) => x.kind === "r").length,
    path: Math.max(0, ...rounds.map((x) => film.path.rounds[x.rank][x.number - 1].end ?? 0)),
  };
}
