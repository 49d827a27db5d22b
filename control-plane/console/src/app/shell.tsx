// What stands around every page: the way to the other pages, whether automatic changes are on, and one's own settings.
import { Drawer } from "@mantine/core";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { Icon } from "../ui/icon";
import { Help } from "./help";
import { useKeys } from "./keys";
import { KillBanner, KillSwitch } from "./kill-switch";
import { useSpeech } from "./language";
import { useLive } from "./live";
import { Mine } from "./mine";
import { Ways } from "./nav";
import { Palette } from "./palette";
import { link, usePlace } from "./router";
import { LOOK_MS } from "./queries";

export function Shell({ children }: { children: ReactNode }) {
  const { t } = useSpeech();
  const { path } = usePlace();
  const [shown, setShown] = useState<"menu" | "palette" | "help" | null>(null);
  const open = useMemo(() => ({ palette: () => setShown("palette"), help: () => setShown("help") }), []);
  const close = () => setShown(null);
  useKeys(open);
  useEffect(() => setShown((what) => (what === "menu" ? null : what)), [path]);

  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t("app.skip")}
      </a>
      <header className="top">
        <button type="button" className="bare only-narrow" aria-label={t("app.menu")} onClick={() => setShown("menu")}>
          <Icon name="menu" size={20} />
        </button>
        <a className="brand" {...link("/")}>
          <Mark /> <span className="brand-word">{t("app.name")}</span>
        </a>
        <button type="button" className="go" onClick={open.palette}>
          <Icon name="search" size={16} />
          <span className="go-word">{t("app.go")}</span>
          <kbd className="only-wide">Ctrl K</kbd>
        </button>
        <span className="push" />
        <KillSwitch />
        <Live />
        <Mine help={open.help} />
      </header>
      <div className="side only-wide">
        <Ways />
      </div>
      <main id="content" tabIndex={-1} className="main">
        <KillBanner />
        {children}
      </main>
      <Drawer
        opened={shown === "menu"}
        onClose={close}
        title={t("app.name")}
        size="16rem"
        closeButtonProps={{ "aria-label": t("app.closeMenu") }}
      >
        <Ways />
      </Drawer>
      {shown === "palette" && <Palette close={close} />}
      {shown === "help" && <Help close={close} />}
    </div>
  );
}

/** The same as the icon of the tab. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#1f5f6b" />
      <path
        d="M6 17h5l2.5-7 4.5 13 3-9 1.5 3H26"
        fill="none"
        stroke="#fff"
        strokeWidth="2.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}

function Live() {
  const { t } = useSpeech();
  const live = useLive();
  const n = LOOK_MS / 1000;
  return (
    <span className="live only-wide" data-on={live || undefined} title={live ? t("live.onHint") : t("live.lookingHint", { n })}>
      <i aria-hidden="true" /> {live ? t("live.on") : t("live.looking", { n })}
    </span>
  );
}
