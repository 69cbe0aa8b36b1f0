// Holds what the page computes against what a trace says; returns the first differences.
export function differences({ times, holdings }, cases) {
  const found = [];
  for (const { name, run, clock, bytes, disturbed, expected } of cases) {
    const say = (what, got, wanted) => found.push(`${name}: ${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
    const near = (a, b) => a === b || (a === undefined && b === null) || Math.abs(a - b) <= 1e-9 * Math.abs(b);
    const alike = (a, b) => (Array.isArray(b) ? a.length === b.length && b.every((x, k) => alike(a[k], x)) : typeof b === "number" || b === null ? near(a, b) : a === b);
    const check = (what, got, wanted) => alike(got, wanted) || say(what, got, wanted);
    const played = times(run, clock, bytes, disturbed);
    check("time", played.time, expected.time);
    check("finished", played.finished, expected.finished);
    check("beats", played.beats, expected.beats);
    played.rounds.forEach((mine, rank) => check(`rounds of rank ${rank}`, mine.map((x) => [x.begin, x.end, x.beat, x.until]), expected.rounds[rank]));
    const messages = played.messages.map((x) => [x.source, x.dest, x.sent.number, x.taken?.number ?? null, x.bytes, x.left, x.arrived ?? null, x.beat]);
    const order = (a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3] || a[5] - b[5];
    check("messages", messages.sort(order), expected.messages.sort(order));
    if (expected.held) {
      const states = holdings(run, played);
      states.forEach((mine, rank) => mine.forEach((units, k) => check(`held by rank ${rank} after round ${k}`,
        units.map((values) => [...values].sort()), expected.held[rank][k])));
      check("states", states.map((mine) => mine.length), expected.held.map((mine) => mine.length));
    }
    if (found.length > 5) return found;
  }
  return found;
}
