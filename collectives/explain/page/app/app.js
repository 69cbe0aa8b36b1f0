// The page: what the reader has chosen, the films that follow from it, and where they stand.
import { Settings, Transport } from "./controls.js";
import { unpacked } from "./data.js";
import { film, together } from "./film.js";
import { html, render, useEffect, useMemo, useState } from "./html.js";
import { useCalm, useKeys } from "./keys.js";
import { Panel } from "./panel.js";
import { usePlayer } from "./player.js";
import { fromHash, initial, toHash } from "./state.js";
import { sentence } from "./story.js";
import { secondsText, speaker } from "./words.js";

// What a film depends on: a change of anything else must not make it anew.
const FILMED = ["a", "b", "p", "n", "clock", "machine", "disturb", "who", "much"];

function Page({ data }) {
  const start = useMemo(() => initial(data), [data]);
  const [state, setState] = useState(() => fromHash(location.hash, start, data));
  const calm = useCalm();
  const say = useMemo(() => speaker(data.languages[state.lang]), [data, state.lang]);
  const names = [state.a, state.b].filter(Boolean);
  const films = useMemo(
    () => names.map((name) => film(data, name, state)),
    [data, ...FILMED.map((key) => state[key])],
  );
  const stops = useMemo(() => together(films), [films]);
  const last = stops.length - 1, at = Math.min(state.at, last), end = stops[last];
  const player = usePlayer({
    at, stops, calm, speed: state.speed, rounds: state.clock === "rounds",
    move: (to) => setState((old) => ({ ...old, at: to })),
  });
  const { moving, go } = player;
  const set = (change) => {
    if (FILMED.some((key) => key in change)) player.halt();
    setState((old) => ({ ...old, ...change }));
  };

  useKeys({
    " ": player.play, ArrowRight: () => go(at + 1), ArrowLeft: () => go(at - 1),
    Home: () => go(0), End: () => go(last),
  });
  useEffect(() => history.replaceState(null, "", toHash({ ...state, at }, start)), [state, at]);
  useEffect(() => {
    const read = () => setState((old) => ({ ...fromHash(location.hash, start, data), speed: old.speed }));
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  useEffect(() => {
    document.documentElement.lang = data.languages[state.lang].code;
    document.title = `${names.map((name) => `${data.primitive}.${name}`).join(", ")} – ${say("site")}`;
  }, [state.lang, state.a, state.b]);

  // Of films that end sooner than the others the last moment stays.
  const t = moving ?? stops[at], from = stops[Math.max(0, at - 1)];
  const within = (one, moment) => Math.min(moment, one.end);
  const said = films.filter((one) => one.run).map((one) => {
    const words = sentence(one, within(one, from), within(one, stops[at]), say);
    return names.length > 1 ? `${one.name}: ${words}` : words;
  });
  const hasty = player.playing && state.clock === "time"; // more sentences than anybody could hear
  const spoken = state.clock === "rounds" ? say("roundOf", { round: at, rounds: end })
    : say("timeOf", { time: secondsText(stops[at]), all: secondsText(end) });
  const distance = (k, moment) => Math.abs(stops[k] - moment);
  const nearest = (moment) => stops.reduce((best, _, k) =>
    (distance(k, moment) < distance(best, moment) ? k : best), 0);
  return html`<${Header} data=${data} state=${state} set=${set} say=${say} />
    <main>
      <${Settings} data=${data} state=${state} set=${set} say=${say} />
      <${Transport} at=${at} last=${last} speed=${state.speed} player=${player} set=${set} say=${say}
        spoken=${spoken} />
      <div class="sentence" aria-live=${hasty ? "off" : "polite"}>${said.map((words) => html`<p>${words}</p>`)}</div>
      <div class=${`panels panels-${films.length}`}>${films.map((one, k) => (one.run
        ? html`<${Panel} key=${k} id=${`panel${k}`} film=${one} t=${within(one, t)} at=${within(one, stops[at])}
            from=${within(one, from)} moving=${moving !== null} end=${end} rows=${stops.length} bounds=${data.bounds}
            layout=${state.layout} say=${say} go=${(moment) => go(nearest(moment))}
            alone=${films.length === 1} />`
        : html`<${Impossible} key=${k} film=${one} p=${state.p} say=${say} />`))}</div>
    </main>
    <footer><p>${say("keys")}</p><p>${say("made")}</p></footer>`;
}

function Header({ data, state, set, say }) {
  const { title, summary } = data.algorithms[state.a];
  const languages = Object.entries(data.languages).map(([lang, { name, code }]) => html`
    <button type="button" lang=${code} aria-pressed=${state.lang === lang} onClick=${() => set({ lang })}>
      ${name}</button>`);
  return html`<header>
    <div><p class="site">${data.home ? html`<a href=${data.home}>${say("site")}</a>` : say("site")}</p>
      <h1><span>${data.primitive}</span> ${title}</h1><p class="summary" lang="en">${marked(summary)}</p></div>
    <div class="languages switch" role="group" aria-label=${say("language")}>${languages}</div></header>`;
}

// Text of a docstring, with its `names` as code.
const marked = (text) => text.split("`").map((part, k) => (k % 2 ? html`<code>${part}</code>` : part));

function Impossible({ film, p, say }) {
  const { title, restrictions } = film.algorithm;
  return html`<section class="panel"><h2>${title}</h2>
    <p class="wrong">${say("impossible", { p, restrictions })}</p></section>`;
}

export async function start() {
  const texts = ["settings", "schedules"].map((id) => document.getElementById(id).textContent);
  const [settings, algorithms] = await Promise.all(texts.map(unpacked));
  const page = document.getElementById("page");
  page.replaceChildren();
  render(html`<${Page} data=${{ ...settings, algorithms }} />`, page);
  document.documentElement.dataset.ready = "yes";
}
