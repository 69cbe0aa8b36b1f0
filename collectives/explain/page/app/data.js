// The data of the page: JSON, deflated, as base64 text.

export async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// A schedule with its rounds unfolded: collectives/explain/folding.py says how they were folded. In place
// of the number of a view stand its three numbers: memory, first unit, units.
export function unfolded(run) {
  const begin = new Map();
  const ranks = run.ranks.map((rounds) => {
    const before = new Map(begin), first = new Map();
    const made = rounds.map(([shape, ...changes]) => {
      const base = before.get(shape), numbers = changes.map((change, k) => change + (base ? base[k] : 0));
      before.set(shape, numbers);
      if (!first.has(shape)) first.set(shape, numbers);
      return laidOut(run.shapes[shape], numbers, run.views);
    });
    first.forEach((numbers, shape) => begin.set(shape, numbers));
    return made;
  });
  return { ...run, ranks };
}

// The round of this shape with these numbers.
function laidOut([place, sends, recvs, local], numbers, table) {
  let at = 0;
  const views = (count) => numbers.slice(at, (at += count)).flatMap((number) => table[number]);
  const message = (count) => [numbers[at++], ...views(count)];
  const step = ([kind, reads, writes]) => [kind, views(reads), views(writes)];
  return [place, sends.map(message), recvs.map(message), local.map(step)];
}
