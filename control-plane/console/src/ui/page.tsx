// A page's heading, which takes the focus when one comes to it from another page, so that keyboard and screen reader start
// there.
import { type ReactNode, useEffect, useRef } from "react";
import { useSpeech } from "../app/language";
import { hasMoved, link } from "../app/router";
import { Icon } from "./icon";

export function Page({ title, lead, up, actions, children }: {
  title: ReactNode;
  /** One sentence about what is here. */
  lead?: ReactNode;
  /** Where this page belongs. */
  up?: { to: string; label: string };
  actions?: ReactNode;
  children: ReactNode;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { t } = useSpeech();
  useEffect(() => {
    if (hasMoved()) heading.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    document.title = `${heading.current?.textContent ?? ""} · ${t("app.name")}`;
  });
  return (
    <div className="page">
      <div className="page-head">
        <div className="page-title">
          {up && (
            <a className="up" {...link(up.to)}>
              {up.label} <Icon name="next" size={12} />
            </a>
          )}
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {lead && <p className="lead">{lead}</p>}
        </div>
        {actions && <div className="page-actions">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

/** A part of a page with a heading of its own. */
export function Part({ title, aside, children, flush = false }: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  /** Without room around the content: for tables. */
  flush?: boolean;
}) {
  return (
    <section className="part">
      {(title || aside) && (
        <div className="part-head">
          {title && <h2>{title}</h2>}
          {aside && <div className="part-aside">{aside}</div>}
        </div>
      )}
      <div className={flush ? "part-body flush" : "part-body"}>{children}</div>
    </section>
  );
}
