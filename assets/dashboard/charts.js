// Draws a chart above each table of numbers. The table is the chart's only data, so that the two
// cannot differ.
//
// A header cell names its column's kind (`data-series`) and version (`data-key`). dashboard.css has
// the color and shape of a key, for the tables too.
/* global uPlot */

const charts = new Map();
const rowValues = new WeakMap();
const stale = new Set();
let requested = false;

// Draws the charts whose table contains one of the changed elements, and moves the time of all.
export function refresh(changed) {
  for (const figure of charts.keys()) {
    for (const element of changed) if (figure.contains(element)) stale.add(figure);
  }
  schedule();
}

// A hidden page gets no animation frame until somebody looks at it again, so it draws nothing.
function schedule() {
  if (!requested) requestAnimationFrame(drawAll);
  requested = true;
}

function drawAll() {
  requested = false;
  const page = { window: timeWindow(), marks: planChanges() };
  for (const [figure, chart] of charts) {
    if (stale.has(figure)) chart.read();
    chart.draw(page);
  }
  stale.clear();
}

// Every chart ends at the time of the numbers, not at the browser's own.
function timeWindow() {
  // There is no time yet while the server has never read the tables.
  const end = Number(document.querySelector("#as-of [data-at]")?.dataset.at ?? Date.now() / 1000);
  return [end - Number(document.body.dataset.range), end];
}

function planChanges() {
  return [...document.querySelectorAll("[data-mark]")]
    .map(({ dataset }) => ({ at: Number(dataset.mark), label: dataset.label }))
    .sort((one, other) => other.at - one.at);
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.table = figure.querySelector("table");
    this.box = figure.querySelector(".plot");
    this.log = figure.dataset.scale === "log";
    this.legend = make("ul", "legend");
    this.box.after(this.legend);
    figure.querySelector("figcaption").after(this.button());
    new ResizeObserver(schedule).observe(this.box);
    this.read();
  }

  button() {
    const numbers = this.figure.querySelector(".numbers");
    const title = this.figure.querySelector("h3").textContent;
    const button = make("button", "", "Show the numbers");
    numbers.id ||= `${this.figure.id}-numbers`;
    button.setAttribute("aria-label", `Show the numbers: ${title}`);
    button.setAttribute("aria-controls", numbers.id);
    button.setAttribute("aria-expanded", false);
    button.addEventListener("click", () => {
      button.setAttribute("aria-expanded", numbers.classList.toggle("open"));
    });
    return button;
  }

  // Takes the numbers from the table. Other columns need a new plot: a version can join or leave.
  read() {
    const head = this.table.tHead.innerHTML;
    if (head !== this.head) {
      this.head = head;
      this.columns = [...this.table.tHead.querySelectorAll("[data-series]")].map((cell) => ({
        index: cell.cellIndex,
        name: cell.textContent.trim(),
        kind: cell.dataset.series,
        key: cell.dataset.key,
      }));
      this.discard();
    }
    this.rows = [...this.table.tBodies[0].rows]
      .filter((row) => valuesOf(row)[0] !== null)
      .sort((one, other) => valuesOf(one)[0] - valuesOf(other)[0]);
    const column = (index) => this.rows.map((row) => valuesOf(row)[index] ?? null);
    this.data = [column(0), ...this.stacked(this.columns.map(({ index }) => column(index)))];
  }

  // Puts the columns of a stack on top of each other. A version without a number adds nothing, and
  // a row without any number is a gap.
  stacked(columns) {
    const total = this.rows.map(() => null);
    const parts = columns.filter((_, position) => this.columns[position].kind === "stack");
    return columns.map((column) => {
      if (!parts.includes(column)) return column;
      return column.map((value, row) => {
        if (parts.every((part) => part[row] === null)) return null;
        return (total[row] += value ?? 0);
      });
    });
  }

  // Destroys the plot, so that the next `draw` makes a new one.
  discard() {
    this.plot?.destroy();
    this.plot = undefined;
  }

  draw(page) {
    this.page = page;
    const { clientWidth: width, clientHeight: height } = this.box;
    if (!width || !height) return;
    const { color, fontSize, fontFamily } = getComputedStyle(this.box);
    const look = [color, fontSize, devicePixelRatio].join();
    if (look !== this.look) {
      Object.assign(this, { look, ink: color, em: parseFloat(fontSize), family: fontFamily });
      this.styles = new Map();
      this.discard();
    }
    if (!this.plot) {
      this.plot = new uPlot(this.options(width, height), this.data, this.box);
    } else {
      this.plot.setSize({ width, height });
      this.plot.setData(this.data);
    }
    this.describe(this.plot.cursor.idx);
  }

  options(width, height) {
    const { em } = this;
    const grid = { stroke: translucent(this.ink), width: em / 16 };
    const filter = (_, splits) => (this.log ? this.logTicks(splits) : splits);
    const axis = {
      stroke: this.ink,
      font: `${em}px ${this.family}`,
      gap: em / 3,
      grid,
      ticks: { ...grid, size: em / 3 },
    };
    const unit = units[this.figure.dataset.unit];
    return {
      width,
      height,
      padding: [em * 1.6, em * 1.6, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { show: false },
        sync: { key: "stickshift", scales: ["x", null] },
      },
      scales: {
        x: { range: () => this.page.window },
        y: {
          distr: this.log ? 3 : 1,
          range: (_, low, high) => (this.log ? logRange : linearRange)(low, high, unit),
        },
      },
      axes: [
        { ...axis, size: em * 2, space: em * 5, values: (_, splits) => splits.map(clock) },
        {
          ...axis,
          filter,
          grid: { ...grid, filter },
          ticks: { ...axis.ticks, filter },
          size: (_, labels) => em * (1.2 + 0.56 * longest(labels)),
          space: em * 2,
          values: (_, splits) => splits.map((value) => (value === null ? "" : unit.label(value))),
        },
      ],
      series: [{}, ...this.columns.map((column) => this.series(column))],
      bands: this.bands(),
      hooks: {
        drawClear: [(plot) => this.drawMarks(plot)],
        draw: [(plot) => this.drawShapes(plot)],
        setCursor: [(plot) => this.describe(plot.cursor.idx)],
      },
    };
  }

  // Leaves as many ticks as there is room for: 1, 2 and 5 of each power of ten, or some powers.
  logTicks(splits) {
    const room = this.box.clientHeight / this.em / 3;
    const powers = Math.log10(splits.at(-1) / splits[0]);
    const digits = powers * 3 < room ? [1, 2, 5] : [1];
    const every = Math.ceil(powers / room) || 1;
    return splits.map((value) => {
      const power = Math.floor(Math.log10(value) + 1e-9);
      const digit = Math.round(value / 10 ** power);
      return digits.includes(digit) && power % every === 0 ? value : null;
    });
  }

  series({ kind, key }) {
    const thin = this.em / 12;
    const line = { stroke: this.style(key).color, width: thin * 2, points: { show: false } };
    const area = { ...line, width: thin, fill: kind === "stack" ? this.pattern(key) : null };
    switch (kind) {
      case "dashed":
        return { ...line, dash: [this.em * 0.6, this.em * 0.4] };
      case "step":
        return { ...line, dash: [thin * 2, thin * 3], paths: uPlot.paths.stepped({ align: 1 }) };
      case "stack":
        return area;
      case "low":
      case "high":
        return { ...line, width: 0 };
      default:
        return line;
    }
  }

  // Reads a key's color and shape from the style sheet.
  style(key) {
    if (!this.styles.has(key)) {
      const probe = make("span", `key ${key}`);
      this.figure.append(probe);
      const { backgroundColor, clipPath } = getComputedStyle(probe);
      const corners = [...clipPath.matchAll(/([\d.]+)% ([\d.]+)%/g)];
      const shape = corners.map(([, right, down]) => [right / 50 - 1, down / 50 - 1]);
      this.styles.set(key, { color: backgroundColor, shape });
      probe.remove();
    }
    return this.styles.get(key);
  }

  // A band fills the area between two columns: an interval's ends, or two neighbours in a stack.
  bands() {
    const bands = [];
    let below;
    this.columns.forEach((column, position) => {
      const series = position + 1;
      if (column.kind === "high") {
        const low = this.columns.findIndex(({ kind, key }) => kind === "low" && key === column.key);
        const fill = translucent(this.style(column.key).color);
        if (low >= 0) bands.push({ series: [series, low + 1], fill });
      }
      if (column.kind === "stack") {
        if (below) bands.push({ series: [series, below] });
        below = series;
      }
    });
    return bands;
  }

  // An area is tiled with its key's shape, because a color alone does not tell two keys apart.
  pattern(key) {
    const { color, shape } = this.style(key);
    const size = Math.round(this.em * devicePixelRatio);
    const tile = make("canvas");
    tile.width = tile.height = size;
    const context = tile.getContext("2d");
    context.fillStyle = translucent(color);
    context.fillRect(0, 0, size, size);
    context.fillStyle = color;
    drawShape(context, shape, size / 2, size / 2, size * 0.3);
    return context.createPattern(tile, "repeat");
  }

  // Marks each change of the plan by a vertical line with its revision. Of labels that would
  // overlap, the newest is shown.
  drawMarks({ ctx, bbox, valToPos }) {
    const [from, to] = this.page.window;
    const ratio = devicePixelRatio;
    const em = this.em * ratio;
    ctx.save();
    ctx.font = `${em}px ${this.family}`;
    ctx.fillStyle = ctx.strokeStyle = this.ink;
    ctx.textAlign = "center";
    ctx.textBaseline = "bottom";
    ctx.lineWidth = ratio;
    ctx.setLineDash([ratio * 4, ratio * 4]);
    let free = Infinity;
    for (const { at, label } of this.page.marks) {
      if (at < from || at > to) continue;
      const x = valToPos(at, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const half = ctx.measureText(label).width / 2;
      if (x + half > free) continue;
      ctx.fillText(label, x, bbox.top - ratio * 2);
      free = x - half - em / 2;
    }
    ctx.restore();
  }

  // Puts the key's shape on each line every few ems, shifted, so that equal lines can be told apart.
  drawShapes({ ctx, bbox, data, valToPos }) {
    const em = this.em * devicePixelRatio;
    const pitch = em * 8;
    this.columns.forEach(({ kind, key }, position) => {
      if (!["line", "dashed", "step"].includes(kind)) return;
      const { color, shape } = this.style(key);
      const points = [];
      data[position + 1].forEach((value, row) => {
        if (value === null) return;
        points.unshift([valToPos(data[0][row], "x", true), valToPos(value, "y", true)]);
      });
      if (!points.length) return;
      ctx.fillStyle = color;
      const shift = (position / this.columns.length) * pitch;
      let next = Math.max(points.at(-1)[0], points[0][0] - shift);
      for (const [x, y] of points) {
        if (x > next) continue;
        next = x - pitch;
        const inside = x >= bbox.left && y >= bbox.top && y <= bbox.top + bbox.height;
        if (inside) drawShape(ctx, shape, x, y, em * 0.45);
      }
    });
  }

  // Fills the legend with the numbers at the cursor, or with the newest ones. They are the texts of
  // the table's cells.
  describe(cursor) {
    // The newest row has no numbers yet while its time is not over.
    const newest = this.data[1]?.findLastIndex((value) => value !== null);
    const row = this.rows[cursor ?? newest];
    if (!row) {
      this.legend.replaceChildren(make("li", "", "no numbers yet"));
      return;
    }
    const text = (index) => row.cells[index]?.textContent.trim() ?? "-";
    const time = `${cursor == null ? "newest," : "at"} ${text(0)}`;
    const items = new Map([["", make("li", "", time)]]);
    for (const { index, name, kind, key } of this.columns) {
      if (!items.has(key)) items.set(key, make("li"));
      if (kind === "low" || kind === "high") {
        items.get(key).append(kind === "low" ? `(${text(index)}` : ` to ${text(index)}) `);
      } else {
        const swatch = make("span", `swatch ${kind} ${key}`, make("span", `key ${key}`));
        const number = make("b", "", text(index));
        items.get(key).append(make("span", "", swatch, `${name} `, number), " ");
      }
    }
    this.legend.replaceChildren(...items.values());
  }
}

// A row is replaced when it changes, so its numbers are read once.
function valuesOf(row) {
  if (!rowValues.has(row)) {
    rowValues.set(row, [...row.cells].map((cell) => {
      const value = parseFloat(cell.dataset.value);
      return Number.isNaN(value) ? null : value;
    }));
  }
  return rowValues.get(row);
}

function translucent(color) {
  return color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.2)");
}

// The shape's corners are relative to its centre, from -1 to 1.
function drawShape(context, shape, x, y, radius) {
  context.beginPath();
  for (const [right, down] of shape) context.lineTo(x + right * radius, y + down * radius);
  context.fill();
}

// `least` is the lowest top of a scale. Evidence below the floor would take the space of the rest.
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const units = {
  percent: { least: 0.01, most: 1, label: (value) => `${short(value * 100)} %` },
  count: { least: 4, label: (value) => (Number.isInteger(value) ? compact.format(value) : "") },
  milliseconds: { least: 10, label: duration },
  evidence: { floor: 0.001, label: compact.format },
};

function duration(value) {
  return value < 1000 ? `${short(value)} ms` : `${short(value / 1000)} s`;
}

function short(value) {
  return Number(value.toPrecision(3));
}

function linearRange(low, high, { least, most = Infinity }) {
  const top = uPlot.rangeNum(0, Math.max(high ?? 0, least), 0.1, true)[1];
  return [0, Math.min(top, most)];
}

function logRange(low, high, { floor = 0 }) {
  if (low === null || high <= floor) return [1, 10];
  return uPlot.rangeLog(Math.max(low, floor), high, 10, false);
}

// uPlot also asks for the size while it has no labels.
function longest(labels) {
  return Math.max(3, ...(labels ?? []).map((label) => label.length));
}

function clock(seconds) {
  const [date, time] = new Date(seconds * 1000).toISOString().split("T");
  if (time.startsWith("00:00:00")) return date.slice(5);
  return time.slice(0, seconds % 60 ? 8 : 5);
}

function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...content);
  return element;
}

for (const figure of document.querySelectorAll("figure.chart")) {
  charts.set(figure, new Chart(figure));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", schedule);
schedule();
