// The passes in order, and what one of them changed.

class Passes {
  /**
   * @param {object} head the head block
   * @param {object} on what to call: open(number)
   */
  constructor(head, on) {
    this.head = head;
    this.rows = [];
    const host = document.getElementById("passes");
    const slowest = Math.max(1e-9, ...head.passes.map((p) => p.ms));
    const total = head.passes.reduce((sum, p) => sum + p.ms, 0);
    const runs = head.passes.filter((p) => p.spec !== "input").length;
    host.append(element("p", "total", `${runs} pass${runs === 1 ? "" : "es"}, ${milliseconds(total)}`));
    let stage = "";
    for (const pass of head.passes) {
      if (pass.stage !== stage) {
        stage = pass.stage;
        host.append(element("h2", "", stage));
      }
      const row = host.appendChild(this.row(pass, slowest));
      row.addEventListener("click", () => on.open(pass.n));
      this.rows.push(row);
    }
    if (head.unfinished) host.append(element("p", "failed", `${head.unfinished} did not end`));
  }

  row(pass, slowest) {
    const row = element("button", pass.error ? "pass failed" : pass.changed || pass.n === 0 ? "pass" : "pass same");
    row.type = "button";
    row.dataset.n = pass.n;
    row.append(element("span", "n", String(pass.n)), element("span", "spec", pass.spec));
    const counts = pass.before === pass.after ? pass.after.toLocaleString("en")
      : `${pass.before.toLocaleString("en")} → ${pass.after.toLocaleString("en")}`;
    row.append(element("span", "counts", counts));
    row.append(element("span", "ms", pass.n ? milliseconds(pass.ms) : ""));
    const bar = row.appendChild(element("span", "bar"));
    bar.style.width = `${(100 * pass.ms) / slowest}%`;
    if (pass.remarks.length) row.append(element("span", "remark", `● ${pass.remarks.length}`));
    const what = pass.error ? pass.error : pass.n === 0 ? "the input" : pass.changed ? "changed the IR" : "changed nothing";
    row.title = `${pass.spec}: ${what}; ${count(pass.after, "op")} after it`;
    return row;
  }

  select(n) {
    this.rows.forEach((row, i) => row.setAttribute("aria-current", String(i === n)));
    if (n >= 0) this.rows[n].scrollIntoView({ block: "nearest" });
  }
}

class Change {
  /** @param {object} on what to call: close(), text(title, text) */
  constructor(on) {
    this.root = document.getElementById("change");
    this.on = on;
    const head = this.root.appendChild(element("header"));
    this.title = head.appendChild(element("h2"));
    this.summary = head.appendChild(element("span", "after"));
    const close = head.appendChild(element("button", "close", "Close"));
    close.type = "button";
    close.addEventListener("click", () => on.close());
    this.remarks = this.root.appendChild(element("div", "remarks"));
    this.host = this.root.appendChild(element("div", "lines"));
    this.host.tabIndex = 0;
    this.list = new LineList(this.host, (line, index) => this.draw(line, index));
    this.host.addEventListener("click", (event) => this.click(event));
    this.items = [];
    this.room = 100;
  }

  async show(pass, functionName) {
    this.shown = `${pass.n} ${functionName}`;
    const wanted = this.shown;
    this.title.textContent = pass.spec;
    const names = pass.lines.map(([name]) => name);
    const lines = pass.lines[names.indexOf(functionName)];
    const others = names.filter((name) => name && name !== functionName).map((name) => `@${name}`);
    this.summary.textContent = pass.error ? pass.error
      : lines ? `${count(lines[1], "line")} added, ${lines[2].toLocaleString("en")} removed in @${functionName}`
      : pass.n === 0 ? "what the first pass got"
      : others.length ? `no change in @${functionName}; it changed ${others.join(", ")}`
      : names.length ? "changed the module's attributes" : "changed nothing";
    this.drawRemarks(pass);
    const found = ["", functionName].map((name) => names.indexOf(name)).filter((i) => i >= 0);
    const hunks = await Promise.all(found.map((i) => block(`change-${pass.n}-${i}`)));
    if (this.shown !== wanted) return;
    this.items = flatten(hunks.flat());
    this.host.scrollTop = 0;
    this.room = Math.floor(this.host.clientWidth / CHARACTER);
    this.list.reset(this.items.length);
  }

  drawRemarks(pass) {
    this.remarks.replaceChildren();
    const groups = new Map();
    for (const remark of pass.remarks) {
      const key = `${remark.kind} ${remark.message} ${remark.reason}`;
      if (!groups.has(key)) groups.set(key, { remark, places: [] });
      if (remark.loc) groups.get(key).places.push(remark.loc);
    }
    for (const { remark, places } of groups.values()) {
      const box = remarkBox(remark);
      if (places.length) box.append(element("p", "places", `${count(places.length, "place")}: ${places.join("  ")}`));
      this.remarks.append(box);
    }
  }

  draw(line, index) {
    const item = this.items[index];
    if (item.place !== undefined) {
      line.classList.add("layer");
      line.append(element("span", "path", item.place));
      return;
    }
    const mark = item.text[0];
    line.classList.add(mark === "+" ? "added" : mark === "-" ? "removed" : "same");
    line.append(element("span", "sign", mark));
    const partner = item.partner >= 0 ? this.items[item.partner].text : null;
    line.append(...differing(item.text.slice(1), partner && partner.slice(1), this.room));
  }

  click(event) {
    const item = this.items[this.list.at(event)];
    if (item && item.text !== undefined) this.on.text("A line of the change", item.text.slice(1).trim());
  }
}

/** Lines of hunks, each with the number of the line it replaced or was replaced by. */
function flatten(hunks) {
  const items = [];
  for (const [place, lines] of hunks) {
    items.push({ place: place || (lines[0]?.includes('"func.func"') ? "signature" : lines[0]?.[1] === " " ? "(no location)" : "module") });
    for (let i = 0; i < lines.length;) {
      const base = items.length;
      let removed = 0, added = 0;
      while (lines[i + removed]?.[0] === "-") removed++;
      while (lines[i + removed + added]?.[0] === "+") added++;
      const many = Math.max(1, removed + added);
      for (let k = 0; k < many; k++) {
        const paired = removed === added && removed > 0;
        items.push({ text: lines[i + k], partner: paired ? base + (k < removed ? k + removed : k - removed) : -1 });
      }
      i += many;
    }
  }
  return items;
}

const SHOWN = 600;

/** Nodes for a line: what differs from its partner is marked, and comes into view when it is far to the right. */
function differing(text, partner, room) {
  if (partner === null) return [document.createTextNode(text.slice(0, SHOWN))];
  let start = 0;
  const shorter = Math.min(text.length, partner.length);
  while (start < shorter && text[start] === partner[start]) start++;
  let end = 0;
  while (end < shorter - start && text[text.length - 1 - end] === partner[partner.length - 1 - end]) end++;
  const indent = text.length - text.trimStart().length;
  if (start + end < Math.max(text.length, partner.length) / 3) return [document.createTextNode(text.slice(0, SHOWN))]; // another op altogether
  const far = start > room * 0.75;
  const head = far ? `${text.slice(0, indent + Math.floor(room * 0.35))} … ${text.slice(start - 12, start)}`
    : text.slice(0, start);
  return [document.createTextNode(head), element("mark", "", text.slice(start, Math.min(text.length - end, start + SHOWN))),
    document.createTextNode(text.slice(text.length - end, text.length - end + SHOWN))];
}

function remarkBox(remark, title = "") {
  const box = element("div", `remark-box ${remark.kind}`);
  const head = box.appendChild(element("p"));
  head.append(element("strong", "", remark.kind), document.createTextNode(` ${title ? `${title}: ` : ""}${remark.message}`));
  if (remark.op) head.append(element("code", "", remark.op));
  if (remark.reason) box.append(element("p", "reason", `Reason: ${remark.reason}`));
  if (remark.suggestion) box.append(element("p", "reason", `Help: ${remark.suggestion}`));
  return box;
}
