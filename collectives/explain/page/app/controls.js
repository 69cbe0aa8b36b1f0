// What the reader sets, and the buttons that move through the film.
import { html } from "./html.js";
import { LAYOUTS, SIZES, SPEEDS } from "./state.js";
import { bytesText, secondsText } from "./words.js";

function Choice({ id, label, value, options, choose }) {
  return html`<label for=${id}><span>${label}</span><select id=${id} value=${String(value)} onChange=${(event) => choose(event.target.value)}>
    ${options.map(([key, text, off]) => html`<option value=${key} selected=${String(key) === String(value)} disabled=${off}>${text}</option>`)}
  </select></label>`;
}

export function Settings({ data, state, set, say, step }) {
  const names = Object.keys(data.algorithms).map((name) => [name, data.algorithms[name].title]);
  const sizes = [...new Set([...SIZES, state.n])].sort((a, b) => a - b).map((n) => [n, bytesText(n)]);
  const counts = Array.from({ length: 15 }, (_, k) => k + 2).map((p) => [p, `${p}`, !data.algorithms[state.a].runs[p]]);
  const machine = data.machines.find((one) => one.name === state.machine);
  return html`<form class="settings" onSubmit=${(event) => event.preventDefault()}>
    <${Choice} id="a" label=${say("algorithm")} value=${state.a} options=${names} choose=${(a) => set({ a, at: 0 })} />
    <${Choice} id="b" label=${say("compare")} value=${state.b} options=${[["", say("nothing")], ...names]} choose=${(b) => set({ b, at: 0 })} />
    <${Choice} id="p" label=${say("ranks")} value=${state.p} options=${counts} choose=${(p) => set({ p: Number(p), at: 0 })} />
    ${data.primitive !== "barrier" && html`<${Choice} id="n" label=${say("size")} value=${state.n} options=${sizes} choose=${(n) => set({ n: Number(n) })} />`}
    <${Choice} id="layout" label=${say("layout")} value=${state.layout} choose=${(layout) => set({ layout })}
      options=${[["", say("fitting")], ...LAYOUTS.map((name) => [name, say(name)])]} />
    <div role="group" aria-labelledby="clock"><span id="clock">${say("clock")}</span><div class="switch">
      ${["rounds", "time"].map((clock) => html`<button type="button" aria-pressed=${state.clock === clock}
        onClick=${() => set({ clock, at: 0 })}>${say(`clock.${clock}`)}</button>`)}</div></div>
    <${Choice} id="machine" label=${say("machine")} value=${state.machine} options=${data.machines.map(({ name }) => [name, say(`machine.${name}`)])}
      choose=${(name) => set({ machine: name })} />
    ${state.clock === "time" && html`
      <${Choice} id="disturb" label=${say("oneRank")} value=${state.disturb} choose=${(disturb) => set({ disturb, at: 0 })}
        options=${[["", say("undisturbed")], ["late", say("late")], ["slow", say("slow")]]} />
      ${state.disturb && html`<${Choice} id="who" label=${say("whichRank")} value=${Math.min(state.who, state.p - 1)} choose=${(who) => set({ who: Number(who), at: 0 })}
          options=${Array.from({ length: state.p }, (_, rank) => [rank, `${rank}`])} />
        <${Choice} id="much" label=${say("howMuch")} value=${state.much} choose=${(much) => set({ much: Number(much), at: 0 })}
          options=${[0.25, 0.5, 1, 2, 4].map((much) => [much, state.disturb === "late" ? say("lateBy", { percent: 100 * much }) : say("slowBy", { times: 1 + much })])} />`}`}
    <p class="model">${say("model", { alpha: secondsText(machine.alpha), beta: secondsText(machine.beta * 2 ** 20), gamma: secondsText(machine.gamma * 2 ** 20) })}</p>
  </form>`;
}

const ICONS = {
  first: "M6 5v14M19 5 9 12l10 7z", back: "M17 5 7 12l10 7z", play: "M7 4.5v15l13-7.5z", pause: "M7 5v14M16.5 5v14", on: "M7 5l10 7-10 7z", last: "M18 5v14M5 5l10 7-10 7z",
};

function Button({ icon, label, press, off, main }) {
  return html`<button type="button" class=${main ? "main" : ""} aria-label=${label} title=${label} onClick=${press} aria-disabled=${off}>
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[icon]} /></svg></button>`;
}

export function Transport({ state, stops, playing, go, play, set, say, spoken }) {
  const last = stops.length - 1;
  return html`<div class="transport" role="group" aria-label=${say("transport")}>
    <${Button} icon="first" label=${say("first")} press=${() => go(0)} off=${state.at === 0} />
    <${Button} icon="back" label=${say("back")} press=${() => go(state.at - 1)} off=${state.at === 0} />
    <${Button} main icon=${playing ? "pause" : "play"} label=${say(playing ? "pause" : "play")} press=${play} />
    <${Button} icon="on" label=${say("forward")} press=${() => go(state.at + 1)} off=${state.at === last} />
    <${Button} icon="last" label=${say("last")} press=${() => go(last)} off=${state.at === last} />
    <input id="scrub" type="range" min="0" max=${last} step="1" value=${state.at} aria-label=${say("scrub")} aria-valuetext=${spoken}
      onInput=${(event) => go(Number(event.target.value))} />
    <output class="moment" for="scrub">${spoken}</output>
    <${Choice} id="speed" label=${say("speed")} value=${state.speed} options=${SPEEDS.map((speed) => [speed, `${speed}×`])} choose=${(speed) => set({ speed: Number(speed) })} />
  </div>`;
}
