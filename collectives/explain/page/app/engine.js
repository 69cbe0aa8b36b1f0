// What a schedule does: when, under a clock, and what every rank holds afterwards.
// A test holds both functions equal to the trace of the simulator.

// When: eager ranks with one port in and one port out, which work at the same time.
//   run        the schedule for one p: run.ranks[r] are the rounds of rank r
//   clock      seconds: alpha a message, beta a byte, gamma a byte reduced
//   bytes      of a unit of the vector
//   late       seconds after which a rank begins, by rank
//   slow       how many times as long its messages and reductions take, by rank
// A round of the result has begin, end (undefined: the rank still waits in it), beat and until
// (the first and the last beat of a lock-step animation), sends, recvs and steps.
export function times(run, clock, bytes, { late = {}, slow = {} } = {}) {
  const ranks = run.ranks.map((_, rank) => ({ rank, now: late[rank] || 0, out: 0, in: 0, rounds: [] }));
  const ready = [...ranks], messages = [], order = [], queues = {};
  const queue = (source, dest) => (queues[`${source} ${dest}`] ??= { sent: [], posted: [] });
  const pace = (rank) => slow[rank] || 1;

  function begin(rank) {
    const number = rank.rounds.length + 1, yielded = run.ranks[rank.rank][number - 1];
    if (!yielded) return;
    const beat = number > 1 ? rank.rounds[number - 2].until + 1 : 1;
    const round = { rank: rank.rank, number, place: yielded[0], begin: rank.now, beat, until: beat, sends: [], recvs: [],
      steps: [], waits: yielded[2].length };
    rank.rounds.push(round);
    order.push({ round });
    let ends = rank.now;
    for (const [peer, ...reads] of yielded[1]) ends = send(rank, round, peer, reads);
    round.ends = ends;
    for (const [peer, ...writes] of yielded[2]) {
      const { sent, posted } = queue(peer, rank.rank);
      const recv = { round, writes };
      if (sent.length) match(sent.shift(), recv);
      else posted.push(recv);
    }
    round.posted = true;
    if (!round.waits) finish(rank, round);
  }

  function send(rank, round, peer, reads) {
    const size = units(reads) * bytes * run.scale;
    const cost = (clock.alpha + clock.beta * size) * Math.max(pace(rank.rank), pace(peer));
    const left = Math.max(rank.now, rank.out);
    const message = { number: messages.length, source: rank.rank, dest: peer, sent: round, reads, bytes: size, left, cost, beat: round.beat };
    rank.out = left + cost;
    messages.push(message);
    round.sends.push(message);
    const { sent, posted } = queue(rank.rank, peer);
    if (posted.length) match(message, posted.shift());
    else sent.push(message);
    return rank.out;
  }

  function match(message, { round, writes }) {
    Object.assign(message, { taken: round, writes, beat: Math.max(message.sent.beat, round.beat) });
    round.until = Math.max(round.until, message.beat);
    round.recvs.push(message);
    round.waits -= 1;
    if (!round.waits && round.posted) finish(ranks[round.rank], round);
  }

  function finish(rank, round) {
    for (const message of [...round.recvs].sort((a, b) => a.left - b.left || a.cost - b.cost)) {
      message.arrived = rank.in = Math.max(message.left, rank.in) + message.cost;
      round.ends = Math.max(round.ends, rank.in);
    }
    order.push({ round, ended: true });
    for (const [kind, reads, writes] of run.ranks[rank.rank][round.number - 1][3]) {
      const size = units(writes) * bytes;
      const takes = kind === "r" ? clock.gamma * size * pace(rank.rank) : 0;
      round.steps.push({ kind, reads, writes, bytes: size, begin: round.ends, end: (round.ends += takes) });
    }
    rank.now = round.end = round.ends;
    ready.push(rank);
  }

  while (ready.length) {
    const next = ready.reduce((one, other) =>
      other.now < one.now || (other.now === one.now && other.rank < one.rank) ? other : one);
    ready.splice(ready.indexOf(next), 1);
    begin(next);
  }
  const rounds = ranks.map((rank) => rank.rounds), all = rounds.flat();
  return { rounds, messages, order,
    finished: rounds.map((mine, r) => (mine.length < run.ranks[r].length || mine.some((x) => x.end === undefined) ? undefined : ranks[r].now)),
    time: Math.max(...ranks.map((rank) => rank.now), ...all.map((x) => x.end ?? x.begin)),
    beats: Math.max(0, ...all.map((x) => x.until)) };
}

// How many units the views (memory, first unit, units, ...) of a message or step have.
export function units(views) {
  let sum = 0;
  for (let i = 2; i < views.length; i += 3) sum += views[i];
  return sum;
}

// What: states[r][k] is what rank r holds after k of its rounds: for every unit of the vector
// a list of values. A value is the ranks that contributed, in order: "0,1,2". One of which the
// rank holds more as well is left out, and so is scratch memory that is not used any more.
// Every message and step gets `cells`, what it carries or makes: units of the vector (at), and values.
export function holdings(run, { order, rounds }) {
  const memory = run.inputs.map((inputs, rank) => {
    const cells = [];
    for (const [number, at, count] of inputs)
      (cells[number] ??= []).push(...Array.from({ length: count }, (_, i) => ({ at: at + i, value: String(rank) })));
    return cells;
  });
  const last = run.ranks.map((mine) => {
    const used = [];
    mine.forEach((round, k) => round.slice(1).flat(1).forEach((step) => {
      const views = typeof step[0] === "string" ? step.slice(1).flat() : step.slice(1);
      for (let i = 0; i < views.length; i += 3) used[views[i]] = k + 1;
    }));
    return used;
  });
  const read = (rank, views) => {
    const cells = [];
    for (let i = 0; i < views.length; i += 3)
      for (let k = 0; k < views[i + 2]; k++) cells.push(memory[rank][views[i]]?.[views[i + 1] + k]);
    return cells;
  };
  const write = (rank, views, cells) => {
    let next = 0;
    for (let i = 0; i < views.length; i += 3)
      for (let k = 0; k < views[i + 2]; k++) (memory[rank][views[i]] ??= [])[views[i + 1] + k] = cells[next++];
  };
  const joined = (one, other) => {
    const at = (one ?? other)?.at, known = (cell) => (cell && cell.at === at ? cell.value : "?");
    return at === undefined ? undefined : { at, value: `${known(one)},${known(other)}` };
  };
  const state = (rank) => {
    const held = Array.from({ length: run.units }, () => new Set());
    for (const cells of memory[rank]) cells?.forEach((cell) => cell && held[cell.at].add(cell.value));
    return held.map((values) => most([...values]));
  };
  const states = run.ranks.map((_, rank) => [state(rank)]);
  for (const { round, ended } of order) {
    const { rank } = round;
    if (!ended) {
      for (const message of round.sends) message.cells = read(rank, message.reads);
      continue;
    }
    for (const message of round.recvs) write(rank, message.writes, message.cells);
    for (const step of round.steps) {
      const half = step.kind === "r" ? units(step.writes) : 0, cells = read(rank, step.reads);
      step.cells = half ? cells.slice(0, half).map((cell, i) => joined(cell, cells[half + i])) : cells;
      if (step.kind === "m") step.cells = [union(...cells)];
      write(rank, step.writes, step.cells);
    }
    last[rank].forEach((k, number) => { if (number >= run.given[rank] && k === round.number) memory[rank][number] = undefined; });
    states[rank].push(state(rank));
  }
  return states;
}

// The values of which none is part of another.
function most(values) {
  const sets = values.map((value) => new Set(value.split(",")));
  const within = (a, b) => a.size < b.size && [...a].every((x) => b.has(x));
  return values.filter((_, i) => !sets.some((other) => within(sets[i], other)));
}

// A barrier's news: all of whom one has heard, in the order of ranks.
function union(...cells) {
  const ranks = new Set(cells.flatMap((cell) => cell.value.split(",").map(Number)));
  return { at: 0, value: [...ranks].sort((a, b) => a - b).join(",") };
}
