// One incident: what is wrong, what SIRA wants and why, what was tried, and what one can do about it.
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { useCalls } from "../api/calls";
import type { Attempt, Incident } from "../api/types";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { whatIsWrong } from "../app/plain";
import { link } from "../app/router";
import { ApprovalCard } from "../ui/approval";
import { Page, Part } from "../ui/page";
import { Facts, Id, Meter } from "../ui/parts";
import { Empty, Raw, Shown, Waiting } from "../ui/states";
import { Severity, Term } from "../ui/term";
import { When } from "../ui/when";
import { Actions } from "./incident/actions";
import { AttemptCard } from "./incident/attempt";
import { Timeline } from "./incident/timeline";
import { Wants } from "./incident/wants";

const Evidence = lazy(() => import("./incident/evidence"));

export default function IncidentPage({ id }: { id: string }) {
  const { t, term } = useSpeech();
  const api = useCalls();
  const refetchInterval = useLookEvery();
  const incident = useQuery({
    queryKey: ["incident", id],
    queryFn: (signal) => api.incident(id, signal),
    refetchInterval,
  });
  const pluginId = incident.data?.merchant_plugin_id;
  const attempts = useQuery({
    queryKey: ["attempts", { incident_id: id }],
    queryFn: async (signal) => {
      const { things } = await api.attempts({ incident_id: id, plugin_id: pluginId, limit: 100 }, signal);
      return things.filter((attempt) => attempt.incident_id === id);
    },
    enabled: pluginId !== undefined,
    refetchInterval,
  });
  const course = useQuery({
    queryKey: ["incident", id, "course"],
    queryFn: (signal) => api.course(id, signal),
    refetchInterval,
  });
  const asked = useQuery({
    queryKey: ["approvals", { incident_id: id }],
    queryFn: async (signal) => {
      const { things } = await api.approvals({ status: "pending", limit: 200 }, signal);
      return things.filter((approval) => approval.incident_id === id);
    },
    refetchInterval,
  });
  return (
    <Page
      title={incident.data ? term(incident.data.incident_type) : t("incident.title")}
      up={{ to: "/incidents", label: t("nav.incidents") }}
      lead={incident.data && <Lead incident={incident.data} />}
      actions={
        incident.data && (
          <Actions incident={incident.data} attempts={attempts.data ?? []} isAsked={(asked.data?.length ?? 0) > 0} />
        )
      }
    >
      <Shown of={incident} lines={10}>
        {(found) => (
          <div className="columns">
            <div className="column-main">
              <Sees incident={found} />
              {asked.data?.map((approval) => (
                <Part key={approval.id} title={t("approval.title")}>
                  <ApprovalCard approval={approval} withIncident={false} />
                </Part>
              ))}
              <Wants incident={found} />
              <Shown of={course} lines={6}>
                {(seen) => (
                  <Suspense fallback={<Waiting />}>
                    <Evidence course={seen} type={found.incident_type} />
                  </Suspense>
                )}
              </Shown>
              <Part title={t("attempts.ofIncident")}>
                <Shown of={attempts}>{(tried) => <Tried attempts={tried} />}</Shown>
              </Part>
            </div>
            <div className="column-side">
              <About incident={found} />
              {course.data && <Timeline course={course.data} />}
            </div>
          </div>
        )}
      </Shown>
    </Page>
  );
}

function Lead({ incident }: { incident: Incident }) {
  return (
    <span className="together">
      <Term name={incident.status} />
      <Severity name={incident.severity} />
      <a {...link(`/plugins/${incident.merchant_plugin_id}`)}>
        {incident.cms} <span className="mono">{incident.plugin_version}</span>
      </a>
      <When at={incident.detected_at} both />
    </span>
  );
}

function Sees({ incident }: { incident: Incident }) {
  const speech = useSpeech();
  const { t } = speech;
  const { says, numbers } = whatIsWrong(incident, speech);
  return (
    <Part title={t("incident.sees")}>
      <p className="says">{says}</p>
      {numbers.length > 0 && (
        <ul className="numbers">
          {numbers.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
      {incident.escalated_to_ops && incident.status !== "closed" && (
        <p className="call" data-tone="warn">
          <strong>{t("incident.why")}</strong>
          <span lang="en">{incident.escalation_reason ?? t("list.nothing")}</span>
        </p>
      )}
    </Part>
  );
}

function Tried({ attempts }: { attempts: Attempt[] }) {
  const { t } = useSpeech();
  if (attempts.length === 0) return <Empty icon="attempts">{t("incident.noCure")}</Empty>;
  return (
    <ol className="attempts">
      {attempts.map((attempt) => (
        <li key={attempt.id}>
          <AttemptCard attempt={attempt} />
        </li>
      ))}
    </ol>
  );
}

function About({ incident }: { incident: Incident }) {
  const { t, term } = useSpeech();
  const nothing = t("list.nothing");
  return (
    <Part>
      <Facts
        facts={[
          [t("incident.real"), <Meter key="real" share={incident.confidence} label={t("incident.real")} />],
          [t("incident.updated"), <When key="updated" at={incident.updated_at} />],
          [t("incident.attempts"), incident.attempts_count],
          [t("incident.resolution"), incident.resolution ? term(incident.resolution) : nothing],
          [t("plugin.id"), <Id key="id" id={incident.id} />],
          [
            t("plugin.merchant"),
            <Id key="merchant" id={incident.merchant_id} />,
          ],
        ]}
      />
      <details>
        <summary>{t("incident.snapshot")}</summary>
        <Raw value={incident.telemetry_snapshot} label={t("incident.snapshot")} />
      </details>
    </Part>
  );
}
