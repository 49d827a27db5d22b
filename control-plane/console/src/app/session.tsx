// Who is signed in. The token lives in this tab's sessionStorage, ends with the tab, and never stands in an address.
import { createContext, type ReactNode, useContext, useMemo, useState } from "react";
import { type Ask, connect } from "../api/http";
import { queries } from "./queries";

const KEY = "plugmend.token";

/** What the token says of its bearer; shown, and used to leave out what they may not do. The server decides. */
export interface Person {
  subject: string;
  roles: string[];
  merchantId: string | null;
}

interface Session {
  ask: Ask | null;
  token: string | null;
  person: Person;
  /** Why the last session ended, when it was not by choice. */
  ended: string | null;
  signIn(token: string): void;
  signOut(): void;
}

const NOBODY: Person = { subject: "", roles: [], merchantId: null };
const Context = createContext<Session | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const [token, setToken] = useState(() => window.sessionStorage.getItem(KEY));
  const [ended, setEnded] = useState<string | null>(null);

  const session = useMemo<Session>(() => {
    const end = (why: string | null) => {
      window.sessionStorage.removeItem(KEY);
      queries.clear();
      setEnded(why);
      setToken(null);
    };
    return {
      // A late answer to a session before this one does not end this one.
      ask:
        token === null
          ? null
          : connect(token, (problem) => {
              if (window.sessionStorage.getItem(KEY) === token) end(problem.detail ?? problem.title);
            }),
      token,
      person: token === null ? NOBODY : personOf(token),
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

/** The way to ask, on pages that are only there for somebody signed in. */
export function useAsk(): Ask {
  const { ask } = useSession();
  if (ask === null) throw new Error("useAsk without a session");
  return ask;
}

/** Whether the person's token names one of the roles. */
export function useMay(...roles: string[]): boolean {
  const { person } = useSession();
  return roles.some((role) => person.roles.includes(role));
}

function personOf(token: string): Person {
  try {
    const part = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(window.atob(part), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const { sub, roles, merchant_id: merchantId } = claims;
    return {
      subject: typeof sub === "string" ? sub : "",
      roles: Array.isArray(roles) ? roles.filter((role) => typeof role === "string") : [],
      merchantId: typeof merchantId === "string" ? merchantId : null,
    };
  } catch {
    return NOBODY;
  }
}
