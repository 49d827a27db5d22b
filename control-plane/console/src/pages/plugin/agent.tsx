import { Alert } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useCalls } from "../../api/calls";
import type { Agent } from "../../api/types";
import { useSpeech } from "../../app/language";
import { Part } from "../../ui/page";
import { Facts } from "../../ui/parts";
import { Shown } from "../../ui/states";
import { Term } from "../../ui/term";
import { When } from "../../ui/when";

/** The agent beside a plugin: whether it is trusted, and until when its certificate is good. */
export function AgentCard({ pluginId }: { pluginId: string }) {
  const { t } = useSpeech();
  const api = useCalls();
  const agent = useQuery({ queryKey: ["plugin", pluginId, "agent"], queryFn: (signal) => api.agent(pluginId, signal) });
  return (
    <Part title={t("agent.title")}>
      <Shown of={agent}>
        {(found) => (found === null ? <p className="quiet">{t("agent.none")}</p> : <About agent={found} />)}
      </Shown>
    </Part>
  );
}

function About({ agent }: { agent: Agent }) {
  const { t } = useSpeech();
  const nothing = t("list.nothing");
  const { revoked, fenced } = agent;
  return (
    <>
      {revoked && (
        <Alert color="red" mb="sm">
          {t("agent.revokedBy", { by: revoked.by ?? nothing, reason: revoked.reason ?? nothing })}{" "}
          <When at={revoked.at} />
        </Alert>
      )}
      {fenced && (
        <Alert color="red" mb="sm">
          {t("agent.fenced")} <When at={fenced.at} />
        </Alert>
      )}
      <Facts
        facts={[
          [t("agent.standing"), <Term key="standing" name={agent.standing} />],
          [t("agent.version"), agent.agent_version],
          [t("agent.enrolled"), <When key="enrolled" at={agent.enrolled_at} />],
          [t("agent.from"), agent.enrolled_from],
          [t("agent.certificate"), <When key="certificate" at={agent.certificates[0]?.not_after} />],
        ]}
      />
    </>
  );
}
