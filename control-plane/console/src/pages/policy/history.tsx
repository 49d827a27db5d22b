// Who changed the policy, when, why, and what.
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useCalls } from "../../api/calls";
import { useSpeech } from "../../app/language";
import { Part } from "../../ui/page";
import { Failure, Waiting } from "../../ui/states";
import { When } from "../../ui/when";
import { Changes, shownValue, useFieldName } from "./fields";

export function History({ version }: { version: number }) {
  const { t } = useSpeech();
  const api = useCalls();
  const name = useFieldName();
  const found = useInfiniteQuery({
    queryKey: ["policy", "history", version],
    queryFn: ({ pageParam, signal }) => api.policyHistory({ limit: 8, after: pageParam }, { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next,
  });
  const changes = found.data?.pages.flatMap((page) => page.things) ?? [];
  return (
    <Part title={t("policy.history")}>
      {found.error !== null && <Failure error={found.error} again={() => void found.refetch()} />}
      {found.isPending && <Waiting />}
      <ol className="history">
        {changes.map((change) => (
          <li key={change.version}>
            <div>
              <strong>{change.changed_by}</strong> {change.by_hand && <span className="small">({t("policy.byHand")})</span>}{" "}
              <span className="small quiet">
                <When at={change.changed_at} />
              </span>
            </div>
            <div>{change.reason ? `“${change.reason}”` : <span className="quiet">{t("policy.noReason")}</span>}</div>
            <Changes changes={change.changes} name={name} value={shownValue} />
          </li>
        ))}
      </ol>
      {found.hasNextPage && (
        <Button variant="default" size="xs" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("list.next")}
        </Button>
      )}
    </Part>
  );
}
