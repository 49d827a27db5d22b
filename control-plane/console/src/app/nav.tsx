// The pages, in the order in which an emergency asks for them.
import { Icon, type IconName } from "../ui/icon";
import type { Word } from "../words";
import { useCounts } from "./counts";
import { useSpeech } from "./language";
import { link, usePlace } from "./router";
import { useMay } from "./session";

const GROUPS: { title: Word; pages: IconName[] }[] = [
  { title: "nav.now", pages: ["overview", "incidents", "approvals", "attempts"] },
  { title: "nav.fleet", pages: ["plugins", "merchants", "releases", "kpis"] },
  { title: "nav.rules", pages: ["policy", "audit", "webhooks"] },
];

/** What is there for somebody who looks after one shop only. */
const OWN: IconName[] = ["overview", "incidents", "attempts", "plugins", "merchants", "kpis"];

export function Ways() {
  const { t } = useSpeech();
  const ops = useMay("pay_admin", "compliance_ops", "ops_viewer");
  const { path } = usePlace();
  const counts = useCounts();
  const groups = GROUPS.map(({ title, pages }) => ({
    title,
    pages: pages.filter((page) => ops || OWN.includes(page)),
  })).filter(({ pages }) => pages.length > 0);
  return (
    <nav className="ways" aria-label={t("app.nav")}>
      {groups.map((group) => (
        <div key={group.title}>
          <div className="ways-title">{t(group.title)}</div>
          <ul>
            {group.pages.map((page) => {
              const to = page === "overview" ? "/" : `/${page}`;
              const here = path === to || (to !== "/" && path.startsWith(`${to}/`));
              const count = counts[page];
              return (
                <li key={page}>
                  <a {...link(to)} aria-current={here ? "page" : undefined} className="way">
                    <Icon name={page} />
                    <span>{t(`nav.${page}` as Word)}</span>
                    {count !== undefined && count !== "0" && <span className="count">{count}</span>}
                  </a>
                </li>
              );
            })}
          </ul>
        </div>
      ))}
    </nav>
  );
}
