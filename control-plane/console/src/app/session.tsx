// Who is signed in. The token lives in this tab's sessionStorage, ends with the tab, and never stands in an address.
import { createContext, type ReactNode, useContext, useMemo, useState } from "react";
import { type Api, connect } from "../api/client";

const KEY = "plugmend.token";
const ORDERS = "plugmend.orders";

interface Session {
  api: Api | null;
  /** The person, as the token says; shown, never relied on. */
  subject: string;
  /** Why the last session ended, when it was not by choice. */
  ended: string | null;
  signIn(token: string): void;
  signOut(): void;
}

const Context = createContext<Session | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const [token, setToken] = useState(() => window.sessionStorage.getItem(KEY));
  const [ended, setEnded] = useState<string | null>(null);

  const session = useMemo<Session>(() => {
    const end = (why: string | null) => {
      window.sessionStorage.removeItem(KEY);
      window.sessionStorage.removeItem(ORDERS);
      setEnded(why);
      setToken(null);
    };
    return {
      // A late answer to a session before this one does not end this one.
      api:
        token === null
          ? null
          : connect(token, (problem) => {
              if (window.sessionStorage.getItem(KEY) === token) end(problem.detail ?? problem.title);
            }),
      subject: token === null ? "" : subjectOf(token),
      ended,
      signIn: (fresh) => {
        window.sessionStorage.setItem(KEY, fresh);
        setEnded(null);
        setToken(fresh);
      },
      signOut: () => end(null),
    };
  }, [token, ended]);

  return <Context value={session}>{children}</Context>;
}

export function useSession(): Session {
  const session = useContext(Context);
  if (session === null) throw new Error("useSession outside of SessionProvider");
  return session;
}

/** The client, on pages that are only there for somebody signed in. */
export function useApi(): Api {
  const { api } = useSession();
  if (api === null) throw new Error("useApi without a session");
  return api;
}

/** The orders given to a plugin from this tab, the newest first: the API can show an order, but not list a plugin's. */
export function ordersOf(pluginId: string): string[] {
  return allOrders()[pluginId] ?? [];
}

export function rememberOrder(pluginId: string, commandId: string): void {
  const known = ordersOf(pluginId).filter((id) => id !== commandId);
  const all = { ...allOrders(), [pluginId]: [commandId, ...known].slice(0, 20) };
  window.sessionStorage.setItem(ORDERS, JSON.stringify(all));
}

function allOrders(): Record<string, string[]> {
  try {
    return JSON.parse(window.sessionStorage.getItem(ORDERS) ?? "{}") as Record<string, string[]>;
  } catch {
    return {};
  }
}

function subjectOf(token: string): string {
  try {
    const part = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(window.atob(part), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
    return typeof claims.sub === "string" ? claims.sub : "";
  } catch {
    return "";
  }
}
