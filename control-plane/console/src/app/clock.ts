// One clock for the whole page, so that all moments on it age together; and how the person wants to read them.
import { useSyncExternalStore } from "react";

const TICK_MS = 5_000;
const KEY = "plugmend.times";

let now = Date.now();
const ticking = new Set<() => void>();
let timer = 0;

function subscribeClock(changed: () => void): () => void {
  now = Date.now();
  ticking.add(changed);
  if (timer === 0) {
    timer = window.setInterval(() => {
      now = Date.now();
      for (const tell of ticking) tell();
    }, TICK_MS);
  }
  return () => {
    ticking.delete(changed);
    if (ticking.size === 0) {
      window.clearInterval(timer);
      timer = 0;
    }
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribeClock, () => now);
}

export type Times = "relative" | "absolute";
let times: Times = window.localStorage.getItem(KEY) === "absolute" ? "absolute" : "relative";
const asked = new Set<() => void>();

export function setTimes(wanted: Times): void {
  times = wanted;
  window.localStorage.setItem(KEY, wanted);
  for (const tell of asked) tell();
}

export function turnTimes(): void {
  setTimes(times === "relative" ? "absolute" : "relative");
}

export function useTimes(): Times {
  return useSyncExternalStore(
    (changed) => {
      asked.add(changed);
      return () => asked.delete(changed);
    },
    () => times,
  );
}
