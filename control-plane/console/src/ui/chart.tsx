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
  const { language } = useSpeech();
  const { colorScheme } = useMantineColorScheme();
  const { label, height = 190 } = props;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const chart = new uPlot(options(props, element.clientWidth, height, language), data(props), element);
    const sized = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height }));
    sized.observe(element);
    return () => {
      sized.disconnect();
      chart.destroy();
    };
    // Drawn anew when what is drawn is another, not at every drawing of the page.
  }, [JSON.stringify([props.times, props.lines, props.marks]), colorScheme, language, height]);
  return <div ref={place} className="chart" role="img" aria-label={label} />;
}

function data({ times, lines }: Props): uPlot.AlignedData {
  return [times, ...lines.map((line) => line.values)] as uPlot.AlignedData;
}

function options(props: Props, width: number, height: number, language: string): uPlot.Options {
  const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
  return {
    width,
    height,
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { y: { range: (_, _least, most) => [0, Math.max(most * 1.15, Number.MIN_VALUE)] } },
    axes: [
      { ...axis, values: (_, at) => at.map((moment) => clock.format(moment * 1000)) },
      { ...axis, size: 56, values: (_, at) => at.map(props.say) },
    ],
    series: [
      { label: "", value: (_, at) => (at === null ? "" : clock.format(at * 1000)) },
      ...props.lines.map((line) => ({
        label: line.label,
        stroke: colour(TONES[line.tone]),
        width: line.tone === "quiet" ? 1 : 2,
        ...(line.tone === "bad" ? { fill: `${colour("--bad")}1f` } : {}),
        points: { show: false },
        spanGaps: false,
        value: (_: uPlot, value: number | null) => (value === null ? "–" : props.say(value)),
      })),
    ],
    hooks: { draw: [(chart) => drawMarks(chart, props.marks, colour)] },
  };
}

/** A line down from each moment, with its words beside it. */
function drawMarks(chart: uPlot, marks: Mark[], colour: (name: string) => string): void {
  const { ctx, bbox } = chart;
  const ratio = window.devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
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
    const wide = ctx.measureText(mark.label).width + 5 * ratio;
    const left = x + wide > bbox.left + bbox.width ? x - wide : x + 5 * ratio;
    ctx.fillText(mark.label, left, bbox.top + (11 + 14 * (row % 3)) * ratio);
  });
  ctx.restore();
}
