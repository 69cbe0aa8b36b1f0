// What a schedule does: when, under a clock, and what every rank holds afterwards.
// A test holds `times` and `holdings` equal to the trace of the simulator.

// When: eager ranks with one port in and one port out, which work at the same time.
//   run    the schedule for one p: run.ranks[r] are the rounds of rank r
//   clock  seconds: alpha a message, beta a byte, gamma a byte reduced
//   bytes  of a unit of the vector
//   late   seconds after which a rank begins, by rank
//   slow   how many times as long its messages and reductions take, by rank
// A round of the result has begin and end (undefined: the rank waits for ever), beat and until
// (the first and the last beat of a lock-step animation), sends, recvs and steps.
export function times(run, clock, bytes, { late = {}, slow = {} } = {}) {
  const ranks = run.ranks.map((_, rank) => ({ rank, now: late[rank] || 0, out: 0, in: 0, rounds: [] }));
  const ready = [...ranks], messages = [], order = [], queues = {};
  const queue = (source, dest) => (queues[`${source} ${dest}`] ??= { sent: [], posted: [] });
  const pace = (rank) => slow[rank] || 1;

  function begin(rank) {
    const number = rank.rounds.length + 1, yielded = run.ranks[rank.rank][number - 1];
    if (!yielded) return;
    const [place, sends, recvs, local] = yielded, beat = (rank.rounds.at(-1)?.until ?? 0) + 1;
    const round = { rank: rank.rank, number, place, local, begin: rank.now, ends: rank.now, beat,
      until: beat, sends: [], recvs: [], steps: [], wanted: recvs.map(([peer]) => peer),
      waits: recvs.length, posted: false };
    rank.rounds.push(round);
    order.push({ round });
    for (const [peer, ...reads] of sends) send(rank, round, peer, reads);
    for (const [peer, ...writes] of recvs) {
      const { sent, posted } = queue(peer, rank.rank);
      if (sent.length) match(sent.shift(), round, writes);
      else posted.push([round, writes]);
    }
    round.posted = true;
    if (!round.waits) finish(rank, round);
  }

  function send(rank, round, dest, reads) {
    const size = units(reads) * bytes * run.scale;
    const cost = (clock.alpha + clock.beta * size) * Math.max(pace(rank.rank), pace(dest));
    const left = Math.max(rank.now, rank.out);
    const message = { number: messages.length, source: rank.rank, dest, sent: round, reads,
      bytes: size, left, cost, beat: round.beat };
    rank.out = round.ends = left + cost;
    messages.push(message);
    round.sends.push(message);
    const { sent, posted } = queue(rank.rank, dest);
    if (posted.length) match(message, ...posted.shift());
    else sent.push(message);
  }

  function match(message, round, writes) {
    Object.assign(message, { taken: round, writes, beat: Math.max(message.beat, round.beat) });
    round.until = Math.max(round.until, message.beat);
    round.recvs.push(message);
    round.waits -= 1;
    if (!round.waits && round.posted) finish(ranks[round.rank], round);
  }

  function finish(rank, round) {
    const first = (a, b) => a.left - b.left || a.cost - b.cost || a.source - b.source;
    const arriving = [...round.recvs].sort(first);
    for (const message of arriving) {
      message.arrived = rank.in = Math.max(message.left, rank.in) + message.cost;
      round.ends = Math.max(round.ends, rank.in);
    }
    for (const [kind, reads, writes] of round.local) {
      const begins = round.ends, size = units(writes) * bytes;
      if (kind === "r") round.ends += clock.gamma * size * pace(rank.rank);
      round.steps.push({ kind, reads, writes, bytes: size, begin: begins, end: round.ends });
    }
    order.push({ round, ended: true });
    rank.now = round.end = round.ends;
    ready.push(rank);
  }

  const first = (a, b) => (b.now < a.now || (b.now === a.now && b.rank < a.rank) ? b : a);
  while (ready.length) begin(...ready.splice(ready.indexOf(ready.reduce(first)), 1));
  const rounds = ranks.map((rank) => rank.rounds), all = rounds.flat();
  const ended = (mine) => mine.every((round) => round.end !== undefined);
  const done = ({ rank, rounds: mine }) => mine.length === run.ranks[rank].length && ended(mine);
  return { rounds, messages, order, finished: ranks.map((rank) => (done(rank) ? rank.now : undefined)),
    time: Math.max(...ranks.map((rank) => rank.now), ...all.map((x) => x.begin)),
    beats: Math.max(0, ...all.map((x) => x.until)) };
}

// How many units the views (memory, first unit, units, ...) of a message or step have.
export function units(views) {
  return views.reduce((sum, number, k) => (k % 3 === 2 ? sum + number : sum), 0);
}

// What: result[r][k] is what rank r holds after k of its rounds: for every unit of the vector a
// list of values. A value is the ranks that contributed, in order: "0,1,2". One of which the rank
// holds more as well is left out, and so is scratch memory after its last use. Every message and
// step gets `cells`, what it carries or makes: the unit of the vector (at), and the value.
export function holdings(run, { order }) {
  const memory = run.inputs.map((inputs, rank) => {
    const cells = [];
    for (const [number, at, count] of inputs)
      for (let k = 0; k < count; k++) (cells[number] ??= []).push({ at: at + k, value: `${rank}` });
    return cells;
  });
  const last = run.ranks.map((mine) => lastUses(mine));
  const places = (views) => views.flatMap((number, k) => (k % 3 ? [] :
    Array.from({ length: views[k + 2] }, (_, i) => [number, views[k + 1] + i])));
  const read = (rank, views) => places(views).map(([number, k]) => memory[rank][number]?.[k]);
  const write = (rank, views, cells) => places(views).forEach(([number, k], i) => {
    (memory[rank][number] ??= [])[k] = cells[i];
  });
  const state = (rank) => {
    const held = Array.from({ length: run.units }, () => new Set());
    for (const cell of memory[rank].flat()) if (cell) held[cell.at].add(cell.value);
    return held.map((values) => most([...values]));
  };
  const states = run.ranks.map((_, rank) => [state(rank)]);
  for (const { round, ended } of order) {
    const { rank, number } = round;
    if (!ended) {
      for (const message of round.sends) message.cells = read(rank, message.reads);
      continue;
    }
    for (const message of round.recvs) write(rank, message.writes, message.cells);
    for (const step of round.steps) {
      const cells = read(rank, step.reads), half = cells.length / 2;
      const pairs = () => cells.slice(0, half).map((cell, k) => joined(cell, cells[half + k]));
      if (step.kind === "r") step.cells = pairs();
      else step.cells = step.kind === "m" ? [union(cells)] : cells;
      write(rank, step.writes, step.cells);
    }
    last[rank].forEach((use, k) => use === number && k >= run.given[rank] && (memory[rank][k] = []));
    states[rank].push(state(rank));
  }
  return states;
}

// In which round each memory of a rank is used for the last time.
function lastUses(rounds) {
  const used = [];
  rounds.forEach(([, sends, recvs, local], k) => {
    const messages = [...sends, ...recvs].map((message) => message.slice(1));
    const views = [...messages, ...local.flatMap((step) => step.slice(1))];
    for (const each of views) for (let i = 0; i < each.length; i += 3) used[each[i]] = k + 1;
  });
  return used;
}

// left op right; "?" is what should not be there.
function joined(left, right) {
  const at = (left ?? right)?.at, known = (cell) => (cell && cell.at === at ? cell.value : "?");
  return at === undefined ? undefined : { at, value: `${known(left)},${known(right)}` };
}

// A barrier's news: all of whom one has heard, in the order of ranks.
function union(cells) {
  const ranks = new Set(cells.flatMap((cell) => cell.value.split(",").map(Number)));
  return { at: 0, value: [...ranks].sort((a, b) => a - b).join() };
}

// The values of which none is part of another.
function most(values) {
  if (values.length < 2) return values;
  const sets = values.map((value) => new Set(value.split(",")));
  const within = (a, b) => a.size < b.size && [...a].every((x) => b.has(x));
  return values.filter((_, k) => !sets.some((other) => within(sets[k], other)));
}
