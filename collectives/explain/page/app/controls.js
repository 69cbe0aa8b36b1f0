// What the reader sets, and the buttons that move through the film.
import { html } from "./html.js";
import { LAYOUTS, MUCH, RANKS, SIZES, SPEEDS } from "./state.js";
import { bytesText, secondsText } from "./words.js";

const MIB = 2 ** 20;

// A list to choose from: options are [value, text, whether it is off].
function Choice({ id, label, value, options, choose }) {
  const chosen = String(value);
  return html`<label for=${id}><span>${label}</span>
    <select id=${id} value=${chosen} onChange=${(event) => choose(event.target.value)}>
      ${options.map(([key, text, off]) => html`
        <option value=${key} selected=${String(key) === chosen} disabled=${off}>${text}</option>`)}
    </select></label>`;
}

export function Settings({ data, state, set, say }) {
  const algorithms = Object.entries(data.algorithms).map(([name, { title }]) => [name, title]);
  const sizes = [...new Set([...SIZES, state.n])].sort((a, b) => a - b).map((n) => [n, bytesText(n)]);
  const counts = RANKS.map((p) => [p, p, !data.algorithms[state.a].runs[p]]);
  const layouts = [["", say("fitting")], ...LAYOUTS.map((name) => [name, say(name)])];
  const machines = data.machines.map(({ name }) => [name, say(`machine.${name}`)]);
  const { alpha, beta, gamma } = data.machines.find(({ name }) => name === state.machine);
  const cost = { alpha: secondsText(alpha), beta: secondsText(beta * MIB), gamma: secondsText(gamma * MIB) };
  const anew = (key, read = String) => (value) => set({ [key]: read(value), at: 0 });
  return html`<form class="settings" onSubmit=${(event) => event.preventDefault()}>
    <${Choice} id="a" label=${say("algorithm")} value=${state.a} options=${algorithms} choose=${anew("a")} />
    <${Choice} id="b" label=${say("compare")} value=${state.b} options=${[["", say("nothing")], ...algorithms]}
      choose=${anew("b")} />
    <${Choice} id="p" label=${say("ranks")} value=${state.p} options=${counts} choose=${anew("p", Number)} />
    ${data.primitive !== "barrier" && html`
      <${Choice} id="n" label=${say("size")} value=${state.n} options=${sizes}
        choose=${(n) => set({ n: Number(n) })} />`}
    <${Choice} id="layout" label=${say("layout")} value=${state.layout} options=${layouts}
      choose=${(layout) => set({ layout })} />
    <div role="group" aria-labelledby="clock"><span id="clock">${say("clock")}</span>
      <div class="switch">${["rounds", "time"].map((clock) => html`
        <button type="button" aria-pressed=${state.clock === clock} onClick=${() => anew("clock")(clock)}>
          ${say(`clock.${clock}`)}</button>`)}</div></div>
    <${Choice} id="machine" label=${say("machine")} value=${state.machine} options=${machines}
      choose=${(machine) => set({ machine })} />
    ${state.clock === "time" && html`<${Disturbance} state=${state} anew=${anew} say=${say} />`}
    <p class="model">${say("model", cost)}</p>
  </form>`;
}

// One rank that is late or slow, and by how much.
function Disturbance({ state, anew, say }) {
  const kinds = [["", say("undisturbed")], ["late", say("late")], ["slow", say("slow")]];
  const ranks = Array.from({ length: state.p }, (_, rank) => [rank, rank]);
  const late = state.disturb === "late";
  const much = (by) => (late ? say("lateBy", { percent: 100 * by }) : say("slowBy", { times: 1 + by }));
  return html`
    <${Choice} id="disturb" label=${say("oneRank")} value=${state.disturb} options=${kinds} choose=${anew("disturb")} />
    ${state.disturb && html`
      <${Choice} id="who" label=${say("whichRank")} value=${Math.min(state.who, state.p - 1)} options=${ranks}
        choose=${anew("who", Number)} />
      <${Choice} id="much" label=${say("howMuch")} value=${state.much} options=${MUCH.map((by) => [by, much(by)])}
        choose=${anew("much", Number)} />`}`;
}

const ICONS = {
  first: "M6 5v14M19 5 9 12l10 7z",
  back: "M17 5 7 12l10 7z",
  play: "M7 4.5v15l13-7.5z",
  pause: "M7 5v14M16.5 5v14",
  forward: "M7 5l10 7-10 7z",
  last: "M18 5v14M5 5l10 7-10 7z",
};

export function Transport({ at, last, speed, player, set, say, spoken }) {
  const { playing, go, play } = player;
  const button = (icon, press, off) => html`
    <button type="button" class=${icon === "play" || icon === "pause" ? "main" : ""} aria-label=${say(icon)}
      title=${say(icon)} aria-disabled=${off} onClick=${press}>
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[icon]} /></svg></button>`;
  return html`<div class="transport" role="group" aria-label=${say("transport")}>
    ${button("first", () => go(0), at === 0)} ${button("back", () => go(at - 1), at === 0)}
    ${button(playing ? "pause" : "play", play, false)}
    ${button("forward", () => go(at + 1), at === last)} ${button("last", () => go(last), at === last)}
    <input id="scrub" type="range" min="0" max=${last} step="1" value=${at} aria-label=${say("scrub")}
      aria-valuetext=${spoken} onInput=${(event) => go(Number(event.target.value))} />
    <output class="moment" for="scrub">${spoken}</output>
    <${Choice} id="speed" label=${say("speed")} value=${speed} options=${SPEEDS.map((one) => [one, `${one}×`])}
      choose=${(one) => set({ speed: Number(one) })} />
  </div>`;
}
