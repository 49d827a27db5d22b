// Where we are: the address's path and query, so that every page has a link that can be sent to somebody.
import { type MouseEvent, useSyncExternalStore } from "react";

const MOVED = "plugmend:moved";

function subscribe(changed: () => void): () => void {
  const back = () => {
    moved = true;
    changed();
  };
  window.addEventListener("popstate", back);
  window.addEventListener(MOVED, changed);
  return () => {
    window.removeEventListener("popstate", back);
    window.removeEventListener(MOVED, changed);
  };
}

/** The path and the query, anew whenever they change. */
export function usePlace(): { path: string; query: URLSearchParams } {
  const here = useSyncExternalStore(subscribe, () => window.location.pathname + window.location.search);
  const [path = "/", query = ""] = here.split("?", 2);
  return { path, query: new URLSearchParams(query) };
}

let moved = false;

/** Whether one has gone from one page to another, and did not just arrive. */
export function hasMoved(): boolean {
  return moved;
}

export function go(to: string): void {
  moved = true;
  const samePage = to.split("?")[0] === window.location.pathname;
  window.history.pushState(null, "", to);
  // Another page begins at its top.
  if (!samePage) window.scrollTo(0, 0);
  window.dispatchEvent(new Event(MOVED));
}

/** Another address for what is shown, without a way back to the one before. */
export function replace(to: string): void {
  window.history.replaceState(null, "", to);
  window.dispatchEvent(new Event(MOVED));
}

/** What makes a link of ours stay in the page; clicks that ask for a new tab are left to the browser. */
export function link(to: string): { href: string; onClick: (event: MouseEvent) => void } {
  return {
    href: to,
    onClick: (event) => {
      if (event.defaultPrevented || event.button !== 0) return;
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      go(to);
    },
  };
}

/** `path?name=value…` without what is empty. */
export function address(path: string, query: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === null || value === undefined || value === "" || value === 0 ? [] : [[name, String(value)]],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}
