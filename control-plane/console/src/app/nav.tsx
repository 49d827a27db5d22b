// The pages, in the order in which an emergency asks for them.
import { Icon, type IconName } from "../ui/icon";
import type { Word } from "../words";
import { useCounts } from "./counts";
import { useSpeech } from "./language";
import { link, usePlace } from "./router";

const GROUPS: { title: Word; pages: IconName[] }[] = [
  { title: "nav.now", pages: ["overview", "incidents", "approvals", "attempts"] },
  { title: "nav.fleet", pages: ["plugins", "merchants", "releases", "kpis"] },
  { title: "nav.rules", pages: ["policy", "audit", "webhooks"] },
];

export function Ways() {
  const { t } = useSpeech();
  const { path } = usePlace();
  const counts = useCounts();
  return (
    <nav className="ways" aria-label={t("app.nav")}>
      {GROUPS.map((group) => (
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
