// The first thing that somebody woken at night sees: whether anything waits for them, and what it is.
import { useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import type { OverviewFigures } from "../api/types";
import { useHealthWord } from "../app/health";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { address, link } from "../app/router";
import { AttemptList } from "../ui/attempt-list";
import { HealthBar } from "../ui/health-bar";
import { Icon } from "../ui/icon";
import { IncidentList } from "../ui/incident-list";
import { Page, Part } from "../ui/page";
import { Figure } from "../ui/parts";
import { Empty, Shown } from "../ui/states";
import { When } from "../ui/when";

export default function Overview() {
  const { t } = useSpeech();
  const api = useCalls();
  const refetchInterval = useLookEvery();
  const needs = useQuery({
    queryKey: ["incidents", "needs"],
    queryFn: (signal) => api.incidents({ status: "escalated", limit: 10 }, signal),
    refetchInterval,
  });
  const figures = useQuery({ queryKey: ["overview"], queryFn: (signal) => api.overview(signal), refetchInterval });
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
      <Shown of={needs}>{({ things }) => <Verdict needs={things.length} more={things.length === 10} />}</Shown>
      {needs.data && needs.data.things.length > 0 && (
        <Part
          flush
          title={t("overview.needsPart")}
          aside={<a {...link(address("/incidents", { status: "escalated" }))}>{t("list.all")}</a>}
        >
          <IncidentList incidents={needs.data.things} label={t("overview.needsPart")} />
        </Part>
      )}
      <Shown of={figures}>{(seen) => <Fleet figures={seen} />}</Shown>
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

/** One sentence: whether anybody is needed. */
function Verdict({ needs, more }: { needs: number; more: boolean }) {
  const { t } = useSpeech();
  const says =
    needs === 0 ? t("overview.calm") : needs === 1 ? t("overview.needsOne") : t("overview.needs", { n: more ? `${needs}+` : needs });
  return (
    <div className="verdict" data-tone={needs === 0 ? "good" : "bad"}>
      <Icon name={needs === 0 ? "calm" : "incidents"} size={24} />
      <p>{says}</p>
    </div>
  );
}

const sum = (counted: Record<string, number>) => Object.values(counted).reduce((one, other) => one + other, 0);

function Fleet({ figures }: { figures: OverviewFigures }) {
  const { t, number } = useSpeech();
  const health = useHealthWord();
  const { plugins } = figures;
  const open = sum(figures.incidents_by_status) - (figures.incidents_by_status["mitigated"] ?? 0);
  const grave = (figures.incidents_by_severity["critical"] ?? 0) + (figures.incidents_by_severity["high"] ?? 0);
  const dead = figures.deliveries["dead"] ?? 0;
  return (
    <>
      <Part
        title={t("overview.fleet")}
        aside={
          <span className="quiet">
            {t("overview.counted")} <When at={figures.plugins_counted_at} />
          </span>
        }
      >
        <HealthBar counted={plugins.by_health} total={plugins.total} word={health} />
      </Part>
      <div className="figures">
        <Figure
          label={t("overview.openIncidents")}
          value={number(open)}
          tone={grave > 0 ? "bad" : undefined}
          note={t("overview.grave", { n: number(grave) })}
          href={link("/incidents")}
        />
        <Figure
          label={t("nav.approvals")}
          value={number(figures.awaiting_approval)}
          tone={figures.awaiting_approval > 0 ? "warn" : undefined}
          note={t("overview.approvals")}
          href={link("/approvals")}
        />
        <Figure
          label={t("overview.cures")}
          value={number(sum(figures.attempts))}
          note={t("overview.applying", { n: number(figures.attempts["applying"] ?? 0) })}
          href={link("/attempts")}
        />
        <Figure
          label={t("overview.given")}
          value={number(dead)}
          tone={dead > 0 ? "warn" : undefined}
          note={t("overview.waiting", { n: number(figures.deliveries["pending"] ?? 0) })}
          href={link(address("/webhooks", { status: "dead" }))}
        />
      </div>
    </>
  );
}
