// What happens in the fleet comes to the page by itself: each event says which answers are old now.
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { listen, type StreamEvent } from "../api/stream";
import { LOOK_LIVE_MS, LOOK_MS, queries } from "./queries";
import { useSession } from "./session";

/** How long to wait before the stream is opened again, in milliseconds; doubled each time it fails, up to the last. */
const AGAIN_MS = [500, 1000, 2000, 5000, 15_000];
/** Events in a burst are answered by one look, this much later, in milliseconds. */
const GATHER_MS = 150;

const Context = createContext(false);

export function LiveProvider({ children }: { children: ReactNode }) {
  const { token } = useSession();
  const [live, setLive] = useState(false);

  useEffect(() => {
    if (token === null) return;
    const stop = new AbortController();
    let failures = 0;
    let after: string | null = null;
    let timer = 0;
    const old = new Set<string>();
    const event = (event: StreamEvent) => {
      if (event.id !== "") after = event.id;
      failures = 0;
      outdated(event.type).forEach((topic) => old.add(topic));
      if (timer !== 0) return;
      timer = window.setTimeout(() => {
        timer = 0;
        for (const topic of old) void queries.invalidateQueries({ queryKey: [topic] });
        old.clear();
      }, GATHER_MS);
    };
    const opened = () => {
      setLive(true);
      // What happened between the first look and now is not in the stream.
      if (after === null) void queries.invalidateQueries();
    };
    const run = async () => {
      while (!stop.signal.aborted) {
        const is = await listen("/api/ops/events", token, after, { opened, event }, stop.signal).catch(() => true);
        setLive(false);
        if (!is) return;
        const pause = AGAIN_MS[Math.min(failures, AGAIN_MS.length - 1)] ?? 15_000;
        failures += 1;
        await new Promise((done) => window.setTimeout(done, pause));
      }
    };
    void run();
    return () => {
      stop.abort();
      window.clearTimeout(timer);
      setLive(false);
    };
  }, [token]);

  return <Context value={live}>{children}</Context>;
}

/** Whether changes come by themselves. */
export function useLive(): boolean {
  return useContext(Context);
}

/** How often to ask anew, for what may change while one looks. */
export function useLookEvery(): number {
  return useLive() ? LOOK_LIVE_MS : LOOK_MS;
}

/** Which answers an event makes old, by the first part of their keys. */
export function outdated(type: string): string[] {
  const about = (word: string) => type.includes(word);
  const topics = ["overview", "audit"];
  if (about("incident")) topics.push("incidents", "incident", "attempts", "approvals", "kpis");
  if (about("attempt") || about("autopatch")) topics.push("attempts", "incident", "incidents", "approvals", "plugin", "kpis");
  if (about("approval")) topics.push("approvals", "incident", "attempts");
  if (about("policy") || about("kill")) topics.push("policy", "incidents", "incident");
  if (about("command")) topics.push("commands", "plugin", "incident");
  if (about("plugin") || about("agent") || about("heartbeat")) topics.push("plugins", "plugin");
  if (about("release") || about("quarantine")) topics.push("releases", "quarantines");
  if (about("webhook") || about("delivery")) topics.push("webhooks", "deliveries");
  if (about("merchant")) topics.push("merchants");
  return topics;
}
