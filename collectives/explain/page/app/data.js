// The data of the page: JSON, deflated, as base64 text.

export async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// A schedule with its views in place of their numbers: memory, first unit, units, ...
export function unfolded(run) {
  const all = (numbers) => numbers.flatMap((number) => run.views[number]);
  const messages = (each) => each.map(([peer, ...numbers]) => [peer, ...all(numbers)]);
  const ranks = run.ranks.map((rounds) => rounds.map(([place, sends, recvs, local]) =>
    [place, messages(sends), messages(recvs), local.map(([kind, reads, writes]) => [kind, all(reads), all(writes)])]));
  return { ...run, ranks };
}
