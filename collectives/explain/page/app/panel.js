// One algorithm: picture, holdings, source, space-time diagram, messages and counts.
import { Counters } from "./counters.js";
import { Grid } from "./grid.js";
import { html, useMemo, useRef } from "./html.js";
import { areBlocks, Network } from "./network.js";
import { save, svgText } from "./picture.js";
import { Source } from "./source.js";
import { Spacetime } from "./spacetime.js";
import { Messages, sentence } from "./story.js";

// t is the moment to be seen, `at` the stop that belongs to it and `from` the stop before; `end` and
// `rows` are the last moment and the number of stops of all films on the page.
export function Panel({ id, film, t, at, from, moving, end, rows, bounds, layout, say, go, alone }) {
  const { algorithm, run } = film, box = useRef(null);
  // What is held and counted changes when a message has landed, the rest when it leaves.
  const landed = moving ? from : at;
  const words = useMemo(
    () => ({
      source: html`<${Source} film=${film} t=${at} say=${say} />`,
      messages: html`<${Messages} film=${film} t=${at} say=${say} />`,
      counters: html`<${Counters} film=${film} t=${landed} bounds=${bounds} say=${say} />`,
    }),
    [film, at, landed, say],
  );
  const saveAs = (kind) => () => {
    const css = document.getElementById("picture-css").textContent;
    const svg = box.current.querySelector(`svg.${kind}`);
    save(`${film.name}-p${run.ranks.length}-${kind}.svg`, svgText(svg, css, sentence(film, from, at, say)));
  };
  const saving = (kind) => html`<button type="button" class="quiet" onClick=${saveAs(kind)}>${say("save")}</button>`;
  return html`<section class="panel" ref=${box} aria-labelledby=${`${id}-h`}>
    <h2 id=${`${id}-h`} class=${alone ? "hidden" : ""}>${algorithm.title}</h2>
    ${["wrong", "unsafe"].map((kind) => run[kind] && html`
      <p class="wrong" role="note"><b>${say(kind)}</b> ${run[kind]}</p>`)}
    <div class="columns">
      <div>
        <figure class="first">
          <${Network} id=${id} film=${film} t=${t} from=${moving ? t : from} layout=${layout} say=${say} />
          <figcaption><span class="hint">${say(reading(film))} ${say("dark")}</span>
            ${saving("network")}</figcaption>
        </figure>
        <div class="fourth"><h3>${say("spacetime")}</h3>
          <p class="hint">${say(film.rounds ? "spacetimeRounds" : "spacetimeTime")}</p>
          <figure>
            <${Spacetime} id=${id} film=${film} t=${t} end=${end} rows=${rows} say=${say} go=${go} />
            <figcaption>${saving("spacetime")}</figcaption>
          </figure></div>
      </div>
      <div>
        <div class="second">
          <${Grid} film=${film} t=${landed} from=${from} say=${say} />
          <p class="hint">${say(film.joins ? "legendJoins" : "legendHolds")}
            <span class="key full">${say("legendFull")}</span>
            <span class="key fresh">${say("legendFresh")}</span></p></div>
        <div class="third"><h3>${say("source")}</h3><p class="hint">${say("sourceHint")}</p>${words.source}</div>
        <div class="fifth">${words.messages}</div>
        <div class="sixth">${words.counters}</div>
      </div>
    </div>
    <details class="about"><summary>${say("about", { name: algorithm.title })}</summary>
      <pre lang="en">${algorithm.text}</pre></details>
  </section>`;
}

// How the words on messages are to be read.
function reading(film) {
  const { run, joins } = film;
  if (run.parts[0] === "news") return "pillNews";
  if (run.parts.length > 1) return areBlocks(film) ? "pillBlocks" : "pillPieces";
  return joins ? "pillSums" : "pillAll";
}
