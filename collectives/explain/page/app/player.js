// The player: goes from stop to stop, and lets the picture move in between.
import { useEffect, useRef, useState } from "./html.js";

// Seconds of the reader's: for a beat, between two beats, for one step, and for all of a film in true time.
const BEAT = 1.3, REST = 0.35, STEP = 0.7, STILL = 0.8, SHORTEST = 6, LONGEST = 40;

// `at` is the stop that the reader has come to or is on the way to; `move(at)` sets it. `moving` is the
// moment between two stops that is to be seen, or null.
export function usePlayer({ at, stops, rounds, speed, calm, move }) {
  const [moving, setMoving] = useState(null);
  const [playing, setPlaying] = useState(false);
  const latest = useRef({}), frame = useRef(0), timer = useRef(0);
  Object.assign(latest.current, { at, stops, rounds, speed, calm, playing, move });

  // From one stop to the next, in so many seconds; then something else.
  const glide = (next, seconds, then) => {
    const { stops } = latest.current, [before, after] = [stops[next - 1], stops[next]];
    const begun = performance.now();
    cancelAnimationFrame(frame.current);
    latest.current.move(next);
    const show = (now) => {
      const share = Math.min(1, Math.max(1e-6, (now - begun) / (1000 * seconds)));
      setMoving(share < 1 ? before + (after - before) * share : null);
      if (share < 1) frame.current = requestAnimationFrame(show);
      else then?.();
    };
    show(begun);
  };

  const halt = () => {
    cancelAnimationFrame(frame.current);
    clearTimeout(timer.current);
    setMoving(null);
    setPlaying(false);
  };

  const go = (to) => {
    const { at, stops, calm, move } = latest.current, next = Math.max(0, Math.min(stops.length - 1, to));
    halt();
    if (next === at + 1 && !calm) glide(next, STEP);
    else move(next);
  };

  const play = () => {
    const { at, stops, playing, move } = latest.current;
    if (playing) return halt();
    if (at === stops.length - 1) move(0);
    return setPlaying(true);
  };

  useEffect(() => {
    const step = () => {
      const { at, stops, rounds, speed, calm, move } = latest.current, last = stops.length - 1;
      if (at >= last) return halt();
      const all = Math.max(SHORTEST, Math.min(LONGEST, 0.4 * last));
      const share = rounds ? BEAT : Math.max(0.05, (all * (stops[at + 1] - stops[at])) / stops[last]);
      const later = (seconds) => (timer.current = setTimeout(step, (1000 * seconds) / speed));
      if (!calm) return glide(at + 1, share / speed, () => later(rounds ? REST : 0));
      move(at + 1);
      return later(Math.max(STILL, share));
    };
    if (playing) timer.current = setTimeout(step);
    return () => clearTimeout(timer.current);
  }, [playing]);

  return { moving, playing, go, play, halt };
}
