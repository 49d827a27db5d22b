// A line drawn over time, by uPlot: what was usual, what came, and the moments at which something changed. Whoever can
// not see it finds the same numbers in a table below.
import "uplot/dist/uPlot.min.css";
import { useMantineColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { useSpeech } from "../app/language";

export interface Mark {
  /** Seconds since 1970. */
  at: number;
  label: string;
  tone: "change" | "bad" | "good";
}

export interface Line {
  label: string;
  values: (number | null)[];
  tone: "bad" | "quiet" | "link";
}

interface Props {
  label: string;
  /** Seconds since 1970. */
  times: number[];
  lines: Line[];
  marks: Mark[];
  /** What a value is, in words. */
  say: (value: number) => string;
  height?: number;
}

const TONES = { bad: "--bad", quiet: "--quiet", link: "--link", change: "--busy", good: "--good" } as const;

export function Chart(props: Props) {
  const place = useRef<HTMLDivElement>(null);
  const under = useRef<HTMLSpanElement>(null);
  const { language } = useSpeech();
  const { colorScheme } = useMantineColorScheme();
  const { label, height = 190 } = props;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const chart = new uPlot(options(props, element.clientWidth, height, language, under.current), data(props), element);
    const sized = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height }));
    sized.observe(element);
    return () => {
      sized.disconnect();
      chart.destroy();
    };
    // Drawn anew when what is drawn is another, not at every drawing of the page.
  }, [JSON.stringify([props.times, props.lines, props.marks]), colorScheme, language, height]);
  return (
    <>
      <span ref={under} className="under small quiet" aria-hidden="true" />
      <div ref={place} className="chart" role="img" aria-label={label} />
    </>
  );
}

function data({ times, lines }: Props): uPlot.AlignedData {
  return [times, ...lines.map((line) => line.values)] as uPlot.AlignedData;
}

function options(
  props: Props,
  width: number,
  height: number,
  language: string,
  under: HTMLSpanElement | null,
): uPlot.Options {
  const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return {
    width,
    height,
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { show: false },
    scales: { y: { range: (_, _least, most) => [0, Math.max(most * 1.3, 1e-6)] } },
    axes: [
      { ...axis, size: 26, values: (_, at) => at.map((moment) => clock.format(moment * 1000)) },
      { ...axis, size: 56, values: (_, at) => at.map(props.say) },
    ],
    series: [
      {},
      ...props.lines.map((line) => ({
        label: line.label,
        stroke: colour(TONES[line.tone]),
        width: line.tone === "quiet" ? 1 : 2,
        ...(line.tone === "bad" ? { fill: `${colour("--bad")}1f` } : {}),
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: {
      draw: [(chart) => drawMarks(chart, props.marks, colour)],
      setCursor: [
        ({ cursor: { idx } }) => {
          if (under === null) return;
          const at = idx === null || idx === undefined ? undefined : props.times[idx];
          const values = props.lines.map((line) => line.values[idx ?? -1] ?? null);
          const said = values.map((value) => (value === null ? "–" : props.say(value)));
          under.textContent = at === undefined ? "" : `${clock.format(at * 1000)} · ${said.join(" · ")}`;
        },
      ],
    },
  };
}

/** A line down from each moment, with its words beside it. */
function drawMarks(chart: uPlot, marks: Mark[], colour: (name: string) => string): void {
  const { ctx, bbox } = chart;
  const ratio = window.devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  marks.forEach((mark, row) => {
    const x = Math.round(chart.valToPos(mark.at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.strokeStyle = colour(TONES[mark.tone]);
    ctx.fillStyle = ctx.strokeStyle;
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const wide = ctx.measureText(mark.label).width;
    // What comes first stands at the left of its line, so that two moments near each other can both be read.
    const isLeft = (row === 0 && x - wide > bbox.left) || x + wide + 10 * ratio > bbox.left + bbox.width;
    const left = isLeft ? x - wide - 5 * ratio : x + 5 * ratio;
    const top = bbox.top + 2 * ratio;
    const text = ctx.fillStyle;
    ctx.fillStyle = colour("--card");
    ctx.fillRect(left - 2 * ratio, top, wide + 4 * ratio, 15 * ratio);
    ctx.fillStyle = text;
    ctx.fillText(mark.label, left, top + 11 * ratio);
  });
  ctx.restore();
}
