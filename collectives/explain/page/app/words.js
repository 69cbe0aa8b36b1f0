// Words: the page's language, numbers with their units, runs of ranks.

// A language is a file of strings. "{name}" is filled in; "one|more" depends on `count`.
export function speaker(strings) {
  return (key, values = {}) => {
    const forms = (strings[key] ?? key).split("|");
    const text = forms.length > 1 && values.count !== 1 ? forms[1] : forms[0];
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  };
}

// 0, 1, 2, 5 as "0–2, 5": neighbours in the given order.
export function runs(numbers, comma = ", ") {
  const found = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  const text = ([a, b]) => (a === b ? `${a}` : b === a + 1 ? `${a}${comma}${b}` : `${a}–${b}`);
  return found.map(text).join(comma);
}

function scaled(value, units, base) {
  let power = 0;
  while (value >= base * 0.99995 && power < units.length - 1) {
    value /= base;
    power += 1;
  }
  return [Number(value.toPrecision(3)), units[power]].join("\u00a0");
}

export const bytesText = (count) => scaled(count, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);

// Seconds, with the unit that makes the number easiest to read.
export function secondsText(seconds) {
  if (!seconds) return "0\u00a0s";
  return seconds >= 1 ? scaled(seconds, ["s"], 1000) : scaled(seconds * 1e9, ["ns", "µs", "ms", "s"], 1000);
}
