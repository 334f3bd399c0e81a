"use strict";
for (const chart of document.querySelectorAll(".chart")) {
  const data = JSON.parse(chart.querySelector("script").textContent);
  const readings = [...chart.querySelectorAll("[data-series]")];
  const moments = [...chart.querySelectorAll(".moment")];
  const resting = [...readings, ...moments].map((node) => [node, node.textContent]);
  const stack = chart.querySelector(".stack, .lines");
  let current = 0;

  const clock = (milliseconds) => {
    const tenths = Math.round(milliseconds / 100);
    const whole = Math.floor(tenths / 10);
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    const two = (number) => String(number).padStart(2, "0");
    const start = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
    return `${start}:${two(whole % 60)}${tenths % 10 ? `.${tenths % 10}` : ""}`;
  };

  const worded = (series, value) => {
    if (data.modalities.includes(series)) {
      return value === 0 ? "no" : value === 1000 ? "yes" : `${Math.round(value / 10)} %`;
    }
    if (value === null) return "–";
    const number = (value / 1000).toFixed(2).replace("-", "−");
    return data.dimensions[series] && value >= 0 ? `+${number}` : number;
  };

  const show = (index) => {
    current = index;
    const middle = (data.start[index] + data.end[index]) / 2;
    chart.style.setProperty("--cursor", `${middle / data.duration / 10}%`);
    chart.dataset.live = "";
    for (const node of readings) {
      const series = node.dataset.series;
      node.textContent = worded(series, data.values[series][index]);
    }
    for (const node of moments) node.textContent = clock(data.start[index]);
  };

  const rest = () => {
    delete chart.dataset.live;
    for (const [node, text] of resting) node.textContent = text;
  };

  const spoken = (index) => {
    const heard = readings
      .map((node) => [node.dataset.series, node.parentNode.querySelector(".name")])
      .filter(([series, name]) => {
        const value = data.values[series][index];
        return name && value !== null && (series in data.dimensions || value >= 100);
      })
      .map(([series, name]) => `${name.textContent} ${worded(series, data.values[series][index])}`);
    return `${clock(data.start[index])}: ${heard.join(", ") || "nothing observed"}`;
  };

  for (const plot of chart.querySelectorAll(".plot")) {
    const follow = (event) => {
      const box = plot.getBoundingClientRect();
      const time = ((event.clientX - box.left) / box.width) * data.duration * 1000;
      const index = data.end.findIndex((end) => end > time);
      if (time >= 0 && index >= 0) show(index);
    };
    plot.addEventListener("pointermove", follow);
    plot.addEventListener("pointerdown", follow);
    plot.addEventListener("pointerleave", rest);
  }

  const scrubber = document.createElement("div");
  scrubber.className = "scrubber";
  scrubber.tabIndex = 0;
  scrubber.setAttribute("role", "slider");
  scrubber.setAttribute("aria-label", "Time; the arrow keys read the values");
  scrubber.setAttribute("aria-valuemin", "0");
  scrubber.setAttribute("aria-valuemax", String(data.start.length - 1));
  const move = (index) => {
    show(Math.max(0, Math.min(data.start.length - 1, index)));
    scrubber.setAttribute("aria-valuenow", String(current));
    scrubber.setAttribute("aria-valuetext", spoken(current));
  };
  scrubber.setAttribute("aria-valuenow", "0");
  scrubber.addEventListener("keydown", (event) => {
    const to = {
      ArrowLeft: current - 1, ArrowDown: current - 1, ArrowRight: current + 1, ArrowUp: current + 1,
      PageDown: current - 10, PageUp: current + 10, Home: 0, End: data.start.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  });
  scrubber.addEventListener("blur", rest);
  stack.append(scrubber);
}
