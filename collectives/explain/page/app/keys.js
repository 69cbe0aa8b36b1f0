// The keys of the page, and whether its reader wants nothing to move.
import { useEffect, useRef, useState } from "./html.js";

// Keys that work wherever they mean nothing else: `keys` has what each does.
export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event) => {
      const { key, target } = event, act = latest.current[key];
      const other = event.ctrlKey || event.metaKey || event.altKey;
      if (!act || other || ["SELECT", "SUMMARY"].includes(target.tagName)) return;
      if (key === " " ? target.tagName === "BUTTON" : target.classList?.contains("scroll")) return;
      event.preventDefault();
      act();
    };
    // Who has used the mouse does not mean the button any more, or the list, by the next key.
    let pointed = false;
    const leave = ({ target }) => pointed && target.closest?.("button, select")?.blur();
    const listeners = {
      keydown: (event) => {
        pointed = false;
        press(event);
      },
      pointerdown: () => (pointed = true),
      click: ({ target }) => target.closest?.("select") || leave({ target }),
      change: leave,
    };
    for (const [kind, act] of Object.entries(listeners)) addEventListener(kind, act);
    return () => Object.entries(listeners).forEach(([kind, act]) => removeEventListener(kind, act));
  }, []);
}

// Whether the reader has asked for as little motion as possible.
export function useCalm() {
  const query = "(prefers-reduced-motion: reduce)";
  const [calm, setCalm] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const asked = matchMedia(query), read = () => setCalm(asked.matches);
    asked.addEventListener("change", read);
    return () => asked.removeEventListener("change", read);
  }, []);
  return calm;
}
