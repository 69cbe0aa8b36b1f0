// The page: state, keys, time, and what is put where.
import { Counters } from "./counters.js";
import { Settings, Transport } from "./controls.js";
import { unpacked } from "./data.js";
import { film, together } from "./film.js";
import { Grid } from "./grid.js";
import { html, render, useEffect, useMemo, useRef, useState } from "./html.js";
import { Network } from "./network.js";
import { save, svgText } from "./picture.js";
import { Source } from "./source.js";
import { Spacetime } from "./spacetime.js";
import { fromHash, initial, toHash } from "./state.js";
import { Messages, sentence } from "./story.js";
import { secondsText, speaker } from "./words.js";

// Seconds of the reader's for a beat, and for a film in true time.
const BEAT = 1.3, SHORTEST = 6, LONGEST = 40;

function Page({ data }) {
  const start = useMemo(() => initial(data), [data]);
  const [state, setState] = useState(() => fromHash(location.hash, start, data));
  const [moving, setMoving] = useState(null); // where the film is between two stops
  const [playing, setPlaying] = useState(false);
  const calm = useCalm();
  const say = useMemo(() => speaker(data.languages[state.lang]), [data, state.lang]);
  const names = [state.a, state.b].filter(Boolean);
  const films = useMemo(() => names.map((name) => ({ ...film(data, name, state), disturb: state.disturb, joins: data.reduces, mixes: data.mixes })),
    [data, state.a, state.b, state.p, state.n, state.clock, state.machine, state.disturb, state.who, state.much]);
  const shown = films.filter((one) => one.run), stops = useMemo(() => together(films), [films]);
  const at = Math.min(state.at, stops.length - 1), t = moving ?? stops[at], from = stops[Math.max(0, at - 1)], end = stops.at(-1);
  const set = (change) => {
    if ("at" in change || "n" in change || "machine" in change) setPlaying(false), setMoving(null);
    setState((old) => ({ ...old, ...change }));
  };
  const latest = useRef({});
  Object.assign(latest.current, { state, at, stops, calm, playing });

  const go = (to) => {
    const { at, stops, calm } = latest.current, next = Math.max(0, Math.min(stops.length - 1, to));
    setPlaying(false);
    if (next === at + 1 && !calm) glide(stops[at], stops[next], next, 0.7);
    else setMoving(null), setState((old) => ({ ...old, at: next }));
  };
  // Lets the picture run from one moment to the next, which is announced at once.
  const frame = useRef(0);
  const glide = (before, after, next, seconds, then) => {
    cancelAnimationFrame(frame.current);
    setState((old) => ({ ...old, at: next }));
    const begun = performance.now();
    const tick = (now) => {
      const f = Math.min(1, (now - begun) / (1000 * seconds));
      setMoving(f < 1 ? before + (after - before) * f : null);
      if (f < 1) frame.current = requestAnimationFrame(tick);
      else then?.();
    };
    setMoving(before + (after - before) * 1e-6);
    frame.current = requestAnimationFrame(tick);
  };
  useEffect(() => {
    if (!playing) return () => {};
    let timer = 0;
    const next = () => {
      const { state, at, stops, calm } = latest.current;
      if (at >= stops.length - 1) return setPlaying(false);
      const all = Math.max(SHORTEST, Math.min(LONGEST, stops.length * 0.4));
      const share = state.clock === "rounds" ? BEAT : Math.max(0.05, (all * (stops[at + 1] - stops[at])) / stops.at(-1));
      const seconds = share / state.speed;
      if (calm) setState((old) => ({ ...old, at: at + 1 })), (timer = setTimeout(next, 1000 * Math.max(0.8, seconds)));
      else glide(stops[at], stops[at + 1], at + 1, seconds, () => (timer = setTimeout(next, state.clock === "rounds" ? 350 / state.speed : 0)));
      return undefined;
    };
    next();
    return () => (clearTimeout(timer), cancelAnimationFrame(frame.current), setMoving(null));
  }, [playing]);
  const play = () => {
    const { at, stops, playing } = latest.current;
    if (!playing && at === stops.length - 1) setState((old) => ({ ...old, at: 0 }));
    setPlaying(!playing);
  };

  useKeys({ " ": play, ArrowRight: () => go(latest.current.at + 1), ArrowLeft: () => go(latest.current.at - 1), Home: () => go(0), End: () => go(Infinity) });
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

  const spoken = state.clock === "rounds" ? say("roundOf", { round: at, rounds: end }) : say("timeOf", { time: secondsText(stops[at]), all: secondsText(end) });
  const words = shown.map((one) => (shown.length > 1 ? `${one.name}: ` : "") + sentence(one, from, Math.min(stops[at], one.end), say));
  const nearest = (moment) => go(stops.reduce((best, stop, k) => (Math.abs(stop - moment) < Math.abs(stops[best] - moment) ? k : best), 0));
  return html`<${Header} data=${data} state=${state} set=${set} say=${say} />
    <main>
      <${Settings} data=${data} state=${state} set=${set} say=${say} />
      <${Transport} state=${{ ...state, at }} stops=${stops} playing=${playing} go=${go} play=${play} set=${set} say=${say} spoken=${spoken} />
      <div class="sentence" aria-live="polite" role="status">${words.map((text) => html`<p>${text}</p>`)}</div>
      <div class=${`panels panels-${films.length}`}>${films.map((one, k) => (one.run
        ? html`<${Panel} key=${k} id=${`panel${k}`} film=${one} t=${Math.min(t, one.end)} moving=${moving !== null} at=${Math.min(stops[at], one.end)} from=${Math.min(from, one.end)} end=${end} rows=${stops.length} state=${state}
            bounds=${data.bounds} say=${say} still=${calm} go=${nearest} alone=${films.length === 1} />`
        : html`<section class="panel"><h2>${one.name}</h2><p class="wrong">${say("impossible", { p: state.p, restrictions: one.algorithm.restrictions })}</p></section>`))}</div>
    </main>
    <footer><p>${say("keys")}</p><p>${say("made")}</p></footer>`;
}

function Header({ data, state, set, say }) {
  const one = data.algorithms[state.a];
  return html`<header><div><p class="site">${data.home ? html`<a href=${data.home}>${say("site")}</a>` : say("site")}</p>
      <h1><span>${data.primitive}</span> ${one.title}</h1><p class="summary" lang="en">${one.summary}</p></div>
    <div class="languages switch" role="group" aria-label=${say("language")}>${Object.entries(data.languages).map(([lang, { name, code }]) => html`
      <button type="button" lang=${code} aria-pressed=${state.lang === lang} onClick=${() => set({ lang })}>${name}</button>`)}</div></header>`;
}

function Panel({ id, film, t, at, moving, from, end, rows, state, bounds, say, still, go, alone }) {
  const { algorithm } = film, box = useRef(null);
  const picture = (kind) => () => save(`${film.name}-p${state.p}-${kind}.svg`,
    svgText(box.current.querySelector(`svg.${kind}`), document.getElementById("picture-css").textContent, sentence(film, from, at, say)));
  // What has been held and counted changes when a message has landed; the rest when it leaves.
  const landed = moving ? from : at;
  const slow = useMemo(() => [
    html`<h3>${say("source")}</h3><p class="hint">${say("sourceHint")}</p><${Source} film=${film} t=${at} say=${say} />`,
    html`<${Messages} film=${film} t=${at} say=${say} />`,
    html`<${Counters} film=${film} t=${landed} bounds=${bounds} say=${say} />`,
  ], [film, at, landed, say]);
  return html`<section class="panel" ref=${box} aria-labelledby=${`${id}-h`}>
    <h2 id=${`${id}-h`} class=${alone ? "hidden" : ""}>${algorithm.title}</h2>
    ${film.run.wrong && html`<p class="wrong" role="note"><b>${say("wrong")}</b> ${film.run.wrong}</p>`}
    <div class="columns">
      <div>
        <figure class="first"><${Network} id=${id} film=${film} t=${t} from=${moving ? t : from} layout=${state.layout} say=${say} still=${still} />
          <figcaption><span class="hint">${say(film.run.parts[0] === "news" ? "pillNews" : film.run.parts.length > 1 ? "pillBlocks" : film.joins ? "pillSums" : "pillAll")} ${say("dark")}</span>
            <button type="button" class="quiet" onClick=${picture("network")}>${say("save")}</button></figcaption></figure>
        <div class="fourth"><h3>${say("spacetime")}</h3><p class="hint">${say(film.rounds ? "spacetimeRounds" : "spacetimeTime")}</p>
          <figure><${Spacetime} id=${id} film=${film} t=${t} end=${end} rows=${rows} say=${say} go=${go} />
          <figcaption><button type="button" class="quiet" onClick=${picture("spacetime")}>${say("save")}</button></figcaption></figure></div>
      </div>
      <div>
        <div class="second"><${Grid} film=${film} t=${landed} from=${from} say=${say} /><${Legend} film=${film} say=${say} /></div>
        ${slow.map((part, k) => html`<div class=${["third", "fifth", "sixth"][k]}>${part}</div>`)}
      </div>
    </div>
    <details class="about"><summary>${say("about", { name: algorithm.title })}</summary><pre lang="en">${algorithm.text}</pre></details>
  </section>`;
}

function Legend({ film, say }) {
  return html`<p class="hint">${say(film.joins ? "legendJoins" : "legendHolds")} <span class="key full">${say("legendFull")}</span> <span class="key fresh">${say("legendFresh")}</span></p>`;
}

// Whether the reader wants nothing to move.
function useCalm() {
  const [calm, setCalm] = useState(() => matchMedia("(prefers-reduced-motion: reduce)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-reduced-motion: reduce)"), read = () => setCalm(query.matches);
    query.addEventListener("change", read);
    return () => query.removeEventListener("change", read);
  }, []);
  return calm;
}

// Keys that work wherever they mean nothing else.
function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event) => {
      const act = latest.current[event.key], { tagName } = event.target;
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      if (tagName === "SELECT" || tagName === "SUMMARY") return;
      if (event.key === " " && tagName === "BUTTON") return;
      if (event.target.classList?.contains("scroll") && event.key !== " ") return;
      event.preventDefault();
      act();
    };
    // Who uses a mouse does not mean the button any more, or the list, by the next key.
    let pointed = false;
    const point = () => (pointed = true), leave = ({ target }) => pointed && target.closest("button, select") && target.closest("button, select").blur();
    const listen = { keydown: (event) => ((pointed = false), press(event)), pointerdown: point, click: leave, change: leave };
    for (const [kind, act] of Object.entries(listen)) addEventListener(kind, act);
    return () => Object.entries(listen).forEach(([kind, act]) => removeEventListener(kind, act));
  }, []);
}

export async function start() {
  const [settings, algorithms] = await Promise.all(["settings", "schedules"].map(
    (id) => unpacked(document.getElementById(id).textContent)));
  const page = document.getElementById("page");
  page.replaceChildren();
  render(html`<${Page} data=${{ ...settings, algorithms }} />`, page);
  document.documentElement.dataset.ready = "yes";
}
