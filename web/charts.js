/** Small charts, drawn by ourselves: what they show is also there as text, and as a table. */

import { h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 480;
const HEIGHT = 150;
const BELOW = 18;
const LEFT = 34;

/** @typedef {{name: string, tone: "good" | "dull" | "warm" | "bad", values: (number | null)[]}} Series */

/** Stacked bars, one for each slice. @param {{title: string, times: string[], series: Series[], every: number}} chart */
export function barChart({ title, times, series, every }) {
  const totals = times.map((_, at) => series.reduce((sum, each) => sum + each.values[at], 0));
  const top = niceTop(Math.max(...totals));
  const step = (WIDTH - LEFT) / times.length;
  const bars = times.flatMap((time, at) => {
    let y = HEIGHT;
    return series.flatMap(({ name, tone, values }) => {
      if (!values[at]) return [];
      const height = Math.max((values[at] / top) * (HEIGHT - 6), 1.5);
      y -= height;
      const bar = shape("rect", { x: LEFT + at * step + step * 0.12, y, width: step * 0.76, height, class: tone });
      bar.append(shape("title", {}, `${when(time, every)}: ${values[at]} ${name}`));
      return [bar];
    });
  });
  return figure({ title, times, series, every, top, shapes: bars, summary: sum });
}

/** Lines; a slice without a value is a gap. @param {{title: string, times: string[], series: Series[], every: number, unit: string}} chart */
export function lineChart({ title, times, series, every, unit }) {
  const known = series.flatMap((each) => each.values.filter((value) => value !== null));
  const top = niceTop(Math.max(0, ...known));
  const step = (WIDTH - LEFT) / times.length;
  const x = (at) => LEFT + (at + 0.5) * step;
  const y = (value) => HEIGHT - (value / top) * (HEIGHT - 6);
  const shapes = series.flatMap(({ name, tone, values }) => {
    const path = values.map((value, at) => (value === null ? "" : `${values[at - 1] == null ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
    const dots = values.flatMap((value, at) => {
      if (value === null) return [];
      const dot = shape("circle", { cx: x(at), cy: y(value), r: 2.5, class: tone });
      dot.append(shape("title", {}, `${when(times[at], every)}: ${name} ${value.toFixed(1)} ${unit}`));
      return [dot];
    });
    return [shape("path", { d: path || "M0 0", class: `line ${tone}` }), ...dots];
  });
  const summary = (values) => {
    const there = values.filter((value) => value !== null);
    return there.length ? `${Math.max(...there).toFixed(0)} ${unit} at most` : "–";
  };
  return figure({ title, times, series, every, top, shapes, summary });
}

function figure({ title, times, series, every, top, shapes, summary }) {
  const isEmpty = !series.some((each) => each.values.some(Boolean));
  const label = series.map((each) => `${summary(each.values)} ${each.name}`).join(", ");
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + BELOW}`, role: "img", "aria-label": isEmpty ? `${title}: nothing` : `${title}: ${label}` });
  svg.append(...axes(times, every, top), ...shapes);
  const legend = series.map(({ name, tone, values }) => h("li", {}, h("span", { class: `swatch ${tone}` }), `${name} `, h("span", { class: "number" }, summary(values))));
  return h(
    "figure",
    { class: "card chart" },
    h("figcaption", {}, h("h2", {}, title)),
    isEmpty ? h("p", { class: "hint nothing" }, "Nothing in this window.") : svg,
    isEmpty ? null : h("ul", { class: "legend" }, ...legend),
    isEmpty ? null : asTable({ title, times, series, every }),
  );
}

function axes(times, every, top) {
  const lines = [0, 0.5, 1].flatMap((share) => {
    const y = HEIGHT - share * (HEIGHT - 6);
    const label = short(top * share);
    return [shape("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y, class: "rule" }), shape("text", { x: LEFT - 5, y: y + 4, class: "tick end" }, label)];
  });
  const step = (WIDTH - LEFT) / times.length;
  const apart = Math.ceil(times.length / 6);
  const marks = times.flatMap((time, at) => (at % apart ? [] : [shape("text", { x: LEFT + at * step, y: HEIGHT + 14, class: "tick" }, when(time, every, true))]));
  return [...lines, ...marks];
}

function asTable({ title, times, series, every }) {
  const head = h("tr", {}, h("th", { scope: "col" }, "From"), ...series.map(({ name }) => h("th", { scope: "col" }, name)));
  const rows = times.map((time, at) =>
    h("tr", {}, h("th", { scope: "row" }, when(time, every)), ...series.map(({ values }) => h("td", {}, values[at] === null ? "–" : short(values[at])))),
  );
  return h("details", { dataset: { name: title } }, h("summary", {}, "As a table"), h("div", { class: "scrolling", tabindex: 0, role: "region", "aria-label": title }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))));
}

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, typeof value === "number" ? value.toFixed(2) : value);
  if (text) element.textContent = text;
  return element;
}

/** 1, 2 or 5 times a power of ten, so that the lines have round numbers; at least 2. */
function niceTop(most) {
  if (most <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 5, 10].map((factor) => factor * power).find((top) => top >= most);
}

function when(time, every, isShort = false) {
  const day = { weekday: "short", day: "numeric" };
  const options = every >= 6 * 3600 ? (isShort ? day : { ...day, hour: "2-digit", minute: "2-digit" }) : { hour: "2-digit", minute: "2-digit" };
  return new Date(time).toLocaleString("en", { ...options, hourCycle: "h23" });
}

const sum = (values) => new Intl.NumberFormat("en").format(values.reduce((total, each) => total + each, 0));
const short = (number) => new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(number);
