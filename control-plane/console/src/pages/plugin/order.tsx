// Giving an order: what, why, and a look at what will happen before it does.
import { Autocomplete } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../../api/calls";
import type { NewOrder, Plugin } from "../../api/types";
import { useSpeech } from "../../app/language";
import { AskWhy } from "../../ui/ask-why";
import { useTell } from "../../ui/toasts";

export function OrderDialog({ plugin, kind, close }: { plugin: Plugin; kind: NewOrder["type"]; close: () => void }) {
  const { t } = useSpeech();
  const api = useCalls();
  const queries = useQueryClient();
  const tell = useTell();
  const [version, setVersion] = useState("");
  const versions = useVersions(plugin);
  const wanted = version.trim();
  const values = { plugin: plugin.product ?? plugin.cms, from: plugin.plugin_version };
  const published = plugin.product ? t("order.versionHint", { product: plugin.product }) : t("order.versionHintNone");
  return (
    <AskWhy
      danger={kind === "rollback"}
      title={t(`order.${kind}`)}
      what={t(kind === "update" ? "order.sureUpdate" : "order.sureBack", values)}
      go={t("act.give")}
      act={async (reason, key) => {
        const order: NewOrder = { type: kind, reason, ...(wanted === "" ? {} : { version: wanted }) };
        await api.order(plugin.id, order, key);
        close();
        tell(t("order.given"));
        await queries.invalidateQueries();
      }}
      close={close}
    >
      <Autocomplete
        label={t("order.version")}
        description={kind === "rollback" ? t("order.versionBack") : published}
        data={versions}
        value={version}
        onChange={setVersion}
        required={kind === "update"}
        comboboxProps={{ withinPortal: false }}
        spellCheck={false}
      />
    </AskWhy>
  );
}

/** What may be installed, as suggestions; without them the version is typed. */
function useVersions(plugin: Plugin): string[] {
  const api = useCalls();
  const { product } = plugin;
  const found = useQuery({
    queryKey: ["releases", { product }],
    queryFn: (signal) => api.releases({ product, limit: 200 }, signal),
    enabled: product !== null,
  });
  const all = found.data?.things ?? [];
  return all.filter((release) => release.state === "published").map((release) => release.version);
}
