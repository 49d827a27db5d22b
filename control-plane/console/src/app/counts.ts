// How much waits, beside the pages' names.
import { useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import type { IconName } from "../ui/icon";
import { useLookEvery } from "./live";

/** More than this is as much as anybody wants to know. */
const MOST = 99;

export function useCounts(): Partial<Record<IconName, string>> {
  const api = useCalls();
  const refetchInterval = useLookEvery();
  const escalated = useQuery({
    queryKey: ["incidents", "count"],
    queryFn: (signal) => api.incidents({ status: "escalated", limit: MOST + 1 }, signal),
    refetchInterval,
  });
  const waiting = useQuery({
    queryKey: ["approvals", "count"],
    queryFn: (signal) => api.approvals({ status: "pending", limit: MOST + 1 }, signal),
    refetchInterval,
  });
  return { ...shown("incidents", escalated.data?.things.length), ...shown("approvals", waiting.data?.things.length) };
}

function shown(page: IconName, count: number | undefined): Partial<Record<IconName, string>> {
  if (count === undefined) return {};
  return { [page]: count > MOST ? `${MOST}+` : String(count) };
}
