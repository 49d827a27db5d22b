// What is known of the control plane's answers, and how long it is believed.
import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/http";

/** How often a page asks anew while there is no live connection, in milliseconds. */
export const LOOK_MS = 10_000;
/** The same while there is one: events may be lost on the way, what is shown must not stay wrong. */
export const LOOK_LIVE_MS = 60_000;

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // An answer that says no says it again; one that did not come may come now.
      retry: (times, error) => times < 2 && error instanceof ApiError && error.kind === "unreachable",
      retryDelay: (times) => 500 * 2 ** times,
      refetchOnWindowFocus: true,
    },
    mutations: { retry: false },
  },
});
