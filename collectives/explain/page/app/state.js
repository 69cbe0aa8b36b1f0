// What the reader has chosen. The address keeps it, so that a moment can be shared.

export const RANKS = Array.from({ length: 15 }, (_, k) => k + 2);
export const SIZES = [64, 1024, 32 << 10, 1 << 20, 32 << 20, 2 ** 30];
export const SPEEDS = [0.25, 0.5, 1, 2, 4];
export const LAYOUTS = ["ring", "line", "tree", "hypercube"];
export const MUCH = [0.25, 0.5, 1, 2, 4];

export function initial(data) {
  const [first, second] = data.shown, known = Object.keys(data.languages);
  const lang = navigator.languages.map((one) => one.slice(0, 2)).find((one) => known.includes(one)) ?? "en";
  return { a: first, b: second || "", p: data.p, n: data.n, clock: "rounds", machine: data.machines[0].name,
    layout: "", disturb: "", who: 0, much: 1, at: 0, lang, speed: 1 };
}

// Keys of the address. What is as the page has it from the beginning is left out, but for p and the moment.
const KEYS = { a: "a", b: "b", p: "p", n: "n", clock: "clock", machine: "on", layout: "ranks", disturb: "one",
  who: "rank", much: "much", lang: "lang" };

export function toHash(state, start) {
  const found = new URLSearchParams();
  for (const [name, key] of Object.entries(KEYS))
    if (name === "p" || state[name] !== start[name]) found.set(key, state[name]);
  found.set(state.clock === "rounds" ? "round" : "moment", state.at);
  return `#${found}`;
}

// The state in an address. What does not make sense there stays as it was.
export function fromHash(hash, start, data) {
  const found = new URLSearchParams(hash.replace(/^#/, "")), state = { ...start };
  const known = (name) => Object.hasOwn(data.algorithms, name);
  const checks = {
    a: known, b: (name) => name === "" || known(name), p: (p) => RANKS.includes(p),
    n: (n) => n >= 1 && n <= 2 ** 40, clock: (name) => ["rounds", "time"].includes(name),
    machine: (name) => data.machines.some((one) => one.name === name), layout: (name) => LAYOUTS.includes(name),
    disturb: (name) => ["late", "slow"].includes(name), who: (rank) => rank >= 0 && rank < 16,
    much: (much) => much > 0 && much <= 16, lang: (name) => Object.hasOwn(data.languages, name),
  };
  for (const [name, key] of Object.entries(KEYS)) {
    if (!found.has(key)) continue;
    const text = found.get(key), value = typeof start[name] === "number" ? Number(text) : text;
    if (checks[name](value)) state[name] = value;
  }
  const at = Number(found.get(state.clock === "rounds" ? "round" : "moment"));
  return { ...state, at: Number.isInteger(at) && at > 0 ? at : 0 };
}
