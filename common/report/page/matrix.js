// -------------------------------------------------------------------- matrices

// [red, green, blue] of "#rrggbb".
function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// A function from 0..1 to a colour between the two ends of the ramp.
function ramp() {
  const low = rgb(css("--low")), high = rgb(css("--high"));
  return (share) => low.map((from, i) => from + share * (high[i] - from));
}

// The cells as pixels. Where there are more cells than pixels, a pixel shows
// what `merge` makes of those under it; null cells are left out.
function cellImage(rows, columns, spec, width, height) {
  const w = Math.max(1, Math.min(columns, width)), h = Math.max(1, Math.min(rows, height));
  const canvas = element("canvas", {width: w, height: h});
  const context = canvas.getContext("2d");
  const image = context.createImageData(w, h);
  const absent = rgb(css("--absent"));
  for (let y = 0, at = 0; y < h; ++y) {
    for (let x = 0; x < w; ++x, at += 4) {
      let sum = 0, count = 0, most = null;
      const r1 = Math.floor((y + 1) * rows / h), c1 = Math.floor((x + 1) * columns / w);
      for (let r = Math.floor(y * rows / h); r < r1; ++r) {
        for (let c = Math.floor(x * columns / w); c < c1; ++c) {
          const value = spec.values[r][c];
          if (value === null) continue;
          sum += value;
          ++count;
          if (most === null || value > most) most = value;
        }
      }
      const color = count === 0 ? absent : spec.color(spec.merge === "most" ? most : sum / count);
      image.data[at] = color[0];
      image.data[at + 1] = color[1];
      image.data[at + 2] = color[2];
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// Draws a matrix into `into`: Chart.js the axes, this the cells. `spec`: title,
// values[row][column], rowNames, columnNames, xTitle, color(value) -> [r, g, b],
// merge ("most" or "mean"), tell(row, column) -> text, keys: [element], and where
// wanted write(value): what stands in a cell that has room. Returns as lineChart.
function matrixChart(into, spec) {
  const frame = card(spec.title);
  into.append(frame.box);
  let rows, columns;
  const measure = () => {
    rows = spec.rowNames.length;
    columns = spec.columnNames.length;
    frame.plot.style.height = `${Math.max(90, Math.min(440, 56 + rows * 18))}px`;
  };
  measure();

  const category = (labels, title, padding) => ({
    type: "category", labels, offset: true,
    border: {display: false}, grid: {display: false, drawBorder: false},
    title: {display: title !== "", text: title, color: css("--quiet"), font: {size: 11}},
    ticks: {color: css("--quiet"), font: {size: 11}, maxRotation: 0, autoSkipPadding: padding,
            sampleSize: 40,
            callback(value) { return shorten(this.getLabelForValue(value), 22); }},
  });
  const chart = new Chart(frame.canvas, {
    type: "scatter",
    data: {datasets: [{data: []}]},
    options: {
      animation: false, maintainAspectRatio: false, events: [],
      scales: {x: category(spec.columnNames, spec.xTitle, 12),
               y: category(spec.rowNames, "", 2)},
      plugins: {legend: {display: false}, tooltip: {enabled: false}},
    },
    plugins: [{
      id: "cells",
      beforeDatasetsDraw({ctx, chartArea: area}) {
        if (rows === 0 || columns === 0) return;
        const ratio = window.devicePixelRatio || 1;
        const image = cellImage(rows, columns, spec, Math.round(area.width * ratio),
                                Math.round(area.height * ratio));
        ctx.save();
        ctx.imageSmoothingEnabled = false;
        ctx.drawImage(image, area.left, area.top, area.width, area.height);
        const w = area.width / columns, h = area.height / rows;
        if (w >= 5 && h >= 5) drawGaps(ctx, area, w, h);
        if (spec.write && w >= 34 && h >= 13) writeCells(ctx, area, w, h, spec);
        ctx.restore();
      },
    }],
  });
  frame.canvas.onmousemove = (event) => {
    const area = chart.chartArea;
    const column = Math.floor((event.offsetX - area.left) / area.width * columns);
    const row = Math.floor((event.offsetY - area.top) / area.height * rows);
    const inside = column >= 0 && column < columns && row >= 0 && row < rows;
    showTip(inside ? spec.tell(row, column) : "", event);
  };
  frame.canvas.onmouseleave = (event) => showTip("", event);
  frame.keys.append(...spec.keys);
  const take = (next) => {
    spec = next;
    measure();
    chart.options.scales.x.labels = spec.columnNames;
    chart.options.scales.y.labels = spec.rowNames;
    frame.keys.replaceChildren(...spec.keys);
    chart.resize();  // which draws it where its size has changed
    chart.update("none");
  };
  return {chart, shape: spec.title, take};
}

function drawGaps(ctx, area, w, h) {
  ctx.strokeStyle = css("--card");
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let x = area.left; x <= area.right + 0.1; x += w) {
    ctx.moveTo(x, area.top);
    ctx.lineTo(x, area.bottom);
  }
  for (let y = area.top; y <= area.bottom + 0.1; y += h) {
    ctx.moveTo(area.left, y);
    ctx.lineTo(area.right, y);
  }
  ctx.stroke();
}

function writeCells(ctx, area, w, h, spec) {
  ctx.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  spec.values.forEach((row, r) => row.forEach((value, c) => {
    if (value === null) return;
    const [red, green, blue] = spec.color(value);
    ctx.fillStyle = 0.3 * red + 0.59 * green + 0.11 * blue > 140 ? "#1c2127" : "#ffffff";
    ctx.fillText(spec.write(value), area.left + (c + 0.5) * w, area.top + (r + 0.5) * h);
  }));
}

function showTip(text, event) {
  const tip = document.getElementById("tip");
  tip.hidden = text === "";
  tip.textContent = text;
  const right = document.documentElement.clientWidth + window.scrollX;
  tip.style.left = `${Math.max(0, Math.min(event.pageX + 14, right - tip.offsetWidth - 8))}px`;
  tip.style.top = `${event.pageY + 16}px`;
}

function colorKey(color, text) {
  const swatch = element("i", {className: "swatch"});
  swatch.style.background = color;
  return element("span", {}, swatch, text);
}

function rampKey(low, high) {
  return element("span", {}, low, element("i", {className: "ramp"}), high);
}
