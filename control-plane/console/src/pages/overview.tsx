// The first thing that somebody woken at night sees: whether anything waits for them, and what it is.
import { useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { address, link } from "../app/router";
import { AttemptList } from "../ui/attempt-list";
import { Icon } from "../ui/icon";
import { IncidentList } from "../ui/incident-list";
import { Page, Part } from "../ui/page";
import { Empty, Shown } from "../ui/states";

export default function Overview() {
  const { t } = useSpeech();
  const api = useCalls();
  const refetchInterval = useLookEvery();
  const needs = useQuery({
    queryKey: ["incidents", "needs"],
    queryFn: (signal) => api.incidents({ status: "escalated", limit: 10 }, signal),
    refetchInterval,
  });
  const healing = useQuery({
    queryKey: ["attempts", "under way"],
    queryFn: async (signal) => {
      const lists = await Promise.all(
        ["applying", "staging", "pending"].map((status) => api.attempts({ status, limit: 10 }, signal)),
      );
      return lists.flatMap(({ things }) => things).slice(0, 10);
    },
    refetchInterval,
  });
  const recent = useQuery({
    queryKey: ["incidents", "recent"],
    queryFn: (signal) => api.incidents({ limit: 8 }, signal),
    refetchInterval,
  });
  return (
    <Page title={t("nav.overview")} lead={t("overview.lead")}>
      <Shown of={needs}>
        {({ things }) =>
          things.length === 0 ? (
            <div className="verdict" data-tone="good">
              <Icon name="calm" size={24} />
              <p>{t("overview.calm")}</p>
            </div>
          ) : (
            <Part
              flush
              title={t("overview.needsPart")}
              aside={<a {...link(address("/incidents", { status: "escalated" }))}>{t("list.all")}</a>}
            >
              <IncidentList incidents={things} label={t("overview.needsPart")} />
            </Part>
          )
        }
      </Shown>
      <Part flush title={t("overview.healing")} aside={<a {...link("/attempts")}>{t("list.all")}</a>}>
        <Shown of={healing}>
          {(attempts) =>
            attempts.length === 0 ? (
              <Empty>{t("overview.healingNone")}</Empty>
            ) : (
              <AttemptList attempts={attempts} label={t("overview.healing")} />
            )
          }
        </Shown>
      </Part>
      <Part flush title={t("overview.recent")} aside={<a {...link("/incidents")}>{t("list.all")}</a>}>
        <Shown of={recent}>
          {({ things }) =>
            things.length === 0 ? (
              <Empty>{t("overview.recentNone")}</Empty>
            ) : (
              <IncidentList incidents={things} label={t("overview.recent")} />
            )
          }
        </Shown>
      </Part>
    </Page>
  );
}
