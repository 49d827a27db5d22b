// One plugin: how it is doing, what is installed, who looks after it, and what was done to it.
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../api/calls";
import type { NewOrder, Plugin } from "../api/types";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { asNumber, asText, fields } from "../app/plain";
import { useMay } from "../app/session";
import { IncidentList } from "../ui/incident-list";
import { Page, Part } from "../ui/page";
import { Facts, Id } from "../ui/parts";
import { Empty, Raw, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";
import { AgentCard } from "./plugin/agent";
import { OrderDialog } from "./plugin/order";
import { Orders } from "./plugin/orders";

export default function PluginPage({ id }: { id: string }) {
  const { t } = useSpeech();
  const api = useCalls();
  const may = useMay("pay_admin");
  const [kind, setKind] = useState<NewOrder["type"] | null>(null);
  const refetchInterval = useLookEvery();
  const plugin = useQuery({ queryKey: ["plugin", id], queryFn: (signal) => api.plugin(id, signal), refetchInterval });
  return (
    <Page
      title={plugin.data ? (plugin.data.product ?? plugin.data.cms) : t("plugin.title")}
      up={{ to: "/plugins", label: t("nav.plugins") }}
      lead={
        plugin.data && (
          <span className="together">
            <Term name={plugin.data.status} />
            <span className="mono">{plugin.data.plugin_version}</span>
            <span>{plugin.data.cms}</span>
          </span>
        )
      }
      actions={
        plugin.data &&
        may && (
          <>
            <Button onClick={() => setKind("update")}>{t("orders.update")}</Button>
            <Button variant="default" onClick={() => setKind("rollback")}>
              {t("orders.rollback")}
            </Button>
          </>
        )
      }
    >
      <Shown of={plugin} lines={10}>
        {(found) => (
          <>
            <div className="columns">
              <div className="column-main">
                <Doing plugin={found} />
                <Orders plugin={found} />
                <Incidents pluginId={found.id} />
              </div>
              <div className="column-side">
                <AgentCard pluginId={found.id} />
              </div>
            </div>
            {kind && <OrderDialog plugin={found} kind={kind} close={() => setKind(null)} />}
          </>
        )}
      </Shown>
    </Page>
  );
}

function Doing({ plugin }: { plugin: Plugin }) {
  const { t, number, percent } = useSpeech();
  const seen = fields(plugin.telemetry);
  const share = asNumber(seen["webhook_fail_rate"]);
  const integrity = fields(seen["integrity"]);
  const environment = Object.entries(fields(seen["env"]))
    .flatMap(([name, value]) => (typeof value === "string" || typeof value === "number" ? [`${name} ${value}`] : []))
    .join(", ");
  const nothing = t("list.nothing");
  return (
    <Part>
      <Facts
        facts={[
          [t("plugin.heard"), <When key="heard" at={plugin.last_heartbeat} none={t("plugin.never")} both />],
          [t("plugin.errors"), number(plugin.error_count_24h)],
          [t("plugin.webhooks"), share === null ? nothing : percent(share, 1)],
          [t("plugin.environment"), environment || nothing],
          [t("plugin.integrity"), <Integrity key="integrity" of={integrity} />],
          [t("plugin.capabilities"), plugin.capabilities.join(", ") || nothing],
          [t("plugin.created"), <When key="created" at={plugin.created_at} />],
          [t("plugin.id"), <Id key="id" id={plugin.id} />],
          [t("plugin.merchant"), plugin.merchant_name ?? <Id key="merchant" id={plugin.merchant_id} />],
        ]}
      />
      <details>
        <summary>{t("plugin.telemetry")}</summary>
        <Raw value={plugin.telemetry} label={t("plugin.telemetry")} />
      </details>
    </Part>
  );
}

function Integrity({ of }: { of: ReturnType<typeof fields> }) {
  const { t } = useSpeech();
  if (of["intact"] === undefined) return <>{t("list.nothing")}</>;
  const intact = of["intact"] === true;
  const files = Array.isArray(of["differing"]) ? of["differing"].slice(0, 10).map(String) : [];
  return (
    <>
      <Term name="integrity" tone={intact ? "good" : "bad"} label={t(intact ? "integrity.intact" : "integrity.changed")} />{" "}
      <When at={asText(of["checked_at"])} />
      {files.map((file) => (
        <div key={file} className="mono small">
          {file}
        </div>
      ))}
    </>
  );
}

function Incidents({ pluginId }: { pluginId: string }) {
  const { t } = useSpeech();
  const api = useCalls();
  const found = useQuery({
    queryKey: ["incidents", { plugin_id: pluginId }],
    queryFn: async (signal) => {
      const { things } = await api.incidents({ plugin_id: pluginId, limit: 20 }, signal);
      return things.filter((incident) => incident.merchant_plugin_id === pluginId);
    },
    refetchInterval: useLookEvery(),
  });
  return (
    <Part title={t("plugin.incidents")} flush>
      <Shown of={found}>
        {(incidents) =>
          incidents.length === 0 ? (
            <Empty>{t("plugin.noIncidents")}</Empty>
          ) : (
            <IncidentList incidents={incidents} label={t("plugin.incidents")} withPlugin={false} />
          )
        }
      </Shown>
    </Part>
  );
}
