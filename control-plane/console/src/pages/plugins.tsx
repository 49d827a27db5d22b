import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import type { Plugin } from "../api/types";
import { useHealthWord } from "../app/health";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { link } from "../app/router";
import { Choice, Filters, Pager, Search, useFilters } from "../ui/filters";
import { Page, Part } from "../ui/page";
import { type Column, Rows } from "../ui/rows";
import { Empty, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";

const NAMES = ["health", "status", "cms", "product", "version", "q", "merchant_id"] as const;
const HEALTHS = ["ill", "silent", "changing", "recovering", "healthy", "unknown", "off"] as const;
const STATUSES = ["active", "error", "pending_update", "blocked", "disabled"] as const;
const PLATFORMS = ["woocommerce", "shopify", "magento", "prestashop", "wix", "node", "php", "python"] as const;

export default function Plugins() {
  const { t } = useSpeech();
  const api = useCalls();
  const asked = { ...useFilters(NAMES), limit: 50 };
  const found = useQuery({
    queryKey: ["plugins", asked],
    queryFn: (signal) => api.plugins(asked, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useLookEvery(),
  });
  const health = useHealthWord();
  return (
    <Page title={t("nav.plugins")} lead={t("plugins.lead")}>
      <Filters names={NAMES}>
        <Search hint={t("plugins.search")} />
        <Choice label={t("plugin.health")} name="health" options={HEALTHS} say={health} />
        <Choice label={t("plugin.status")} name="status" options={STATUSES} />
        <Choice label={t("plugin.cms")} name="cms" options={PLATFORMS} say={(cms) => cms} />
      </Filters>
      <Shown of={found} lines={8}>
        {({ things, next }) => (
          <>
            {things.length === 0 ? (
              <Empty icon="plugins">{t("plugins.empty")}</Empty>
            ) : (
              <Part flush>
                <List plugins={things} />
              </Part>
            )}
            <Pager next={next} />
          </>
        )}
      </Shown>
    </Page>
  );
}

function List({ plugins }: { plugins: Plugin[] }) {
  const { t, number } = useSpeech();
  const health = useHealthWord();
  const columns: Column<Plugin>[] = [
    {
      title: t("plugin.title"),
      as: "wide",
      cell: (plugin) => (
        <a className="row-link" data-row-link {...link(`/plugins/${plugin.id}`)}>
          {plugin.product ?? plugin.cms}
        </a>
      ),
    },
    { title: t("plugin.merchant"), cell: (plugin) => plugin.merchant_name ?? `…${plugin.merchant_id.slice(-8)}` },
    { title: t("plugin.cms"), cell: (plugin) => plugin.cms },
    { title: t("plugin.version"), cell: (plugin) => <span className="mono">{plugin.plugin_version}</span> },
    {
      title: t("plugin.health"),
      cell: (plugin) =>
        plugin.health ? <Term name={plugin.health} label={health(plugin.health)} /> : <Term name={plugin.status} />,
    },
    { title: t("plugin.errors"), as: "number", cell: (plugin) => number(plugin.error_count_24h) },
    { title: t("plugin.heard"), cell: (plugin) => <When at={plugin.last_heartbeat} none={t("plugin.never")} /> },
  ];
  return (
    <Rows label={t("nav.plugins")} columns={columns} rows={plugins} id={(one) => one.id} to={(one) => `/plugins/${one.id}`} />
  );
}
