import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import { ATTEMPT_STATUSES } from "../api/types";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { AttemptList } from "../ui/attempt-list";
import { Choice, Filters, Pager, useFilters } from "../ui/filters";
import { Page, Part } from "../ui/page";
import { Empty, Shown } from "../ui/states";

const NAMES = ["status", "method"] as const;
const METHODS = ["patch", "config_fix", "rollback", "reinstall", "hotfix"] as const;

export default function Attempts() {
  const { t } = useSpeech();
  const api = useCalls();
  const asked = { ...useFilters(NAMES), limit: 50 };
  const found = useQuery({
    queryKey: ["attempts", asked],
    queryFn: (signal) => api.attempts(asked, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useLookEvery(),
  });
  return (
    <Page title={t("nav.attempts")} lead={t("attempts.lead")}>
      <Filters names={NAMES}>
        <Choice label={t("attempt.status")} name="status" options={ATTEMPT_STATUSES} />
        <Choice label={t("attempt.method")} name="method" options={METHODS} />
      </Filters>
      <Shown of={found} lines={8}>
        {({ things, next }) => (
          <>
            {things.length === 0 ? (
              <Empty>{t("attempts.empty")}</Empty>
            ) : (
              <Part flush>
                <AttemptList attempts={things} label={t("nav.attempts")} />
              </Part>
            )}
            <Pager next={next} />
          </>
        )}
      </Shown>
    </Page>
  );
}
