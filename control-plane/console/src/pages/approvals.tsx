// What waits for a yes: what it would do, why people are asked, who spoke, and whose yes is still wanted.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { ApprovalCard } from "../ui/approval";
import { Choice, Filters, Pager, useFilters } from "../ui/filters";
import { Page, Part } from "../ui/page";
import { Empty, Shown } from "../ui/states";

const NAMES = ["status"] as const;
const STATUSES = ["pending", "approved", "rejected", "expired", "void", "all"] as const;

export default function Approvals() {
  const { t, term } = useSpeech();
  const api = useCalls();
  const { status, after } = useFilters(NAMES);
  const asked = { status: status === "all" ? null : (status ?? "pending"), after, limit: 20 };
  const found = useQuery({
    queryKey: ["approvals", asked],
    queryFn: (signal) => api.approvals(asked, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useLookEvery(),
  });
  return (
    <Page title={t("nav.approvals")} lead={t("approvals.lead")}>
      <Filters names={NAMES}>
        <Choice
          label={t("incident.status")}
          name="status"
          none={term("pending")}
          options={STATUSES.slice(1)}
          say={(name) => (name === "all" ? t("list.any") : term(name))}
        />
      </Filters>
      <Shown of={found} lines={8}>
        {({ things, next }) => (
          <>
            {things.length === 0 && <Empty icon="approvals">{t("approvals.empty")}</Empty>}
            {things.map((approval) => (
              <Part key={approval.id}>
                <ApprovalCard approval={approval} />
              </Part>
            ))}
            <Pager next={next} />
          </>
        )}
      </Shown>
    </Page>
  );
}
