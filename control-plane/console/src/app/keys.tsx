// The keyboard: single letters where no text is being written (`g` and a letter for a page), Ctrl or Cmd with K anywhere.
import { useEffect } from "react";
import type { Word } from "../words";
import { turnTimes } from "./clock";
import { go } from "./router";

/** Letters behind `g`, with the page they lead to. */
export const LETTERS: Record<string, { to: string; word: Word }> = {
  o: { to: "/", word: "nav.overview" },
  i: { to: "/incidents", word: "nav.incidents" },
  a: { to: "/approvals", word: "nav.approvals" },
  c: { to: "/attempts", word: "nav.attempts" },
  p: { to: "/plugins", word: "nav.plugins" },
  m: { to: "/merchants", word: "nav.merchants" },
  r: { to: "/releases", word: "nav.releases" },
  l: { to: "/policy", word: "nav.policy" },
  u: { to: "/audit", word: "nav.audit" },
  w: { to: "/webhooks", word: "nav.webhooks" },
  k: { to: "/kpis", word: "nav.kpis" },
};

/** How long `g` waits for its letter, in milliseconds. */
const WAIT_MS = 1200;

export function useKeys(open: { palette: () => void; help: () => void }): void {
  useEffect(() => {
    // Events count from when the page came: no `g` yet is not a `g` at that moment.
    let since = Number.NEGATIVE_INFINITY;
    const pressed = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        open.palette();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
      if (document.querySelector("[role=dialog]") !== null) return;
      if (event.timeStamp - since < WAIT_MS && LETTERS[event.key]) {
        event.preventDefault();
        since = Number.NEGATIVE_INFINITY;
        go(LETTERS[event.key]?.to ?? "/");
        return;
      }
      since = event.key === "g" ? event.timeStamp : Number.NEGATIVE_INFINITY;
      const action = single(event.key, open);
      if (action?.() === true) event.preventDefault();
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [open]);
}

function single(key: string, open: { help: () => void }): (() => boolean) | null {
  switch (key) {
    case "?":
      return () => (open.help(), true);
    case "/":
      return () => focus(document.querySelector<HTMLElement>("[data-search]"));
    case "t":
      return () => (turnTimes(), true);
    case "j":
      return () => move(1);
    case "k":
      return () => move(-1);
    default:
      return null;
  }
}

/** To the next or previous row's link. */
function move(by: number): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row-link]")];
  const here = rows.indexOf(document.activeElement as HTMLElement);
  return focus(rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by] ?? null);
}

function focus(element: HTMLElement | null): boolean {
  element?.focus();
  element?.scrollIntoView({ block: "nearest" });
  return element !== null;
}

function isWriting(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}
