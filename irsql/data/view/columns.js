// A stage: the ops of the shown function, under their modules.

const NAME = 0, RESULT = 1, DETAIL = 2, LINE = 3, PART = 4, PLACE = 5, LAYER = 6, MODULE = 7, RELATION = 8, REMARKS = 9;
const ROOM = 18, CHARACTER = 7; // fewest characters of a name, width of one
const pointer = { x: -1, y: -1 };
const DIRECT = 1, INFERRED = 2, HIT = 4;

/** A name with its middle left out where there is no room: names of weights and tables differ at their ends. */
function short(name, room) {
  const head = Math.floor(room / 3);
  return name.length > room ? `${name.slice(0, head)}…${name.slice(head + 1 - room)}` : name;
}

class Column {
  /**
   * @param {object} title of the column, from the head block
   * @param {number} number of the column
   * @param {object} on what to call: hover(column, row), choose(column, row), toggle(layer)
   */
  constructor(title, number, on) {
    this.title = title;
    this.number = number;
    this.on = on;
    this.rows = [];
    this.cursor = -1;
    this.root = element("section", `column ${title.kind}`);
    this.root.setAttribute("aria-label", title.name);
    const head = this.root.appendChild(element("header"));
    head.append(element("h2", "", title.name));
    head.append(element("span", "after", title.after && `after ${title.after}`));
    if (title.file) head.title = title.file;
    this.counter = head.appendChild(element("span", "counter"));
    this.body = this.root.appendChild(element("div", "body"));
    this.host = this.body.appendChild(element("div", "lines"));
    this.host.tabIndex = 0;
    this.host.setAttribute("role", "listbox");
    this.host.setAttribute("aria-label", `${title.name} ops`);
    this.map = this.body.appendChild(element("canvas", "map"));
    this.list = new LineList(this.host, (line, index) => this.draw(line, index));
    // Sizes are kept, not asked for: asking in the middle of a hover would cost a layout a column.
    new ResizeObserver(() => this.resize()).observe(this.body);
    this.room = ROOM;
    this.host.addEventListener("pointerover", (event) => this.over(event));
    this.host.addEventListener("pointerleave", () => on.hover(-1, -1));
    this.host.addEventListener("click", (event) => this.click(event));
    this.host.addEventListener("focus", () => on.focus(number));
  }

  resize() {
    Object.assign(this.map, { width: this.map.clientWidth, height: this.map.clientHeight });
    const room = Math.max(ROOM, Math.floor((this.host.clientWidth - 90) / CHARACTER));
    const changed = room !== this.room;
    this.room = room;
    if (changed && this.items) this.list.reset(this.items.length);
    if (this.items) this.paint();
  }

  /** Show the rows of a function; `folded` are the layers whose rows are hidden. */
  fill(data, folded) {
    this.data = data;
    this.rows = data.columns[this.number];
    this.marks = new Uint8Array(this.rows.length);
    this.lit = [];
    this.groups = this.grouped();
    this.cursor = -1;
    this.count("");
    this.host.scrollTop = 0;
    this.fold(folded);
  }

  /**
   * Rows by layer. Ops that read nothing (weights, constants) may stand anywhere in a function: they are shown where
   * their module begins, and the layers come in the order of their first op that does read something.
   */
  grouped() {
    const groups = new Map();
    let layer = -1;
    this.rows.forEach((row, i) => {
      if (row[PART] === "op" || row[PART] === "statement") layer = row[LAYER];
      if (!groups.has(layer)) groups.set(layer, { layer, rows: [], sources: [] });
      const source = row[PART] === "op" && !row[DETAIL].startsWith("%");
      groups.get(layer)[source ? "sources" : "rows"].push(i);
    });
    const first = (group) => group.rows[0] ?? Infinity;
    const sorted = [...groups.values()].sort((a, b) => first(a) - first(b));
    for (const group of sorted) group.rows = this.withSources(group);
    return sorted;
  }

  withSources({ rows, sources }) {
    const waiting = new Map();
    for (const i of sources) {
      const module = this.rows[i][MODULE];
      if (!waiting.has(module)) waiting.set(module, []);
      waiting.get(module).push(i);
    }
    const placed = rows.flatMap((i) => {
      const before = waiting.get(this.rows[i][MODULE]) || [];
      waiting.delete(this.rows[i][MODULE]);
      return [...before, i];
    });
    return [...waiting.values()].flat().concat(placed);
  }

  fold(folded) {
    this.folded = folded;
    this.items = [];
    this.itemOf = new Int32Array(this.rows.length);
    for (const group of this.groups) {
      const head = this.items.length;
      this.items.push({ group });
      const open = !folded.has(group.layer);
      let module = -1;
      for (const i of group.rows) {
        const row = this.rows[i];
        if (open && row[PART] === "op" && row[MODULE] !== module) {
          module = row[MODULE];
          if (this.data.paths[module]) this.items.push({ module });
        }
        this.itemOf[i] = open ? this.items.length : head;
        if (open) this.items.push({ row: i });
      }
    }
    this.list.reset(this.items.length);
    this.host.classList.toggle("empty", !this.rows.length);
    this.paint();
  }

  draw(line, index) {
    const item = this.items[index];
    if (item.group) {
      line.classList.add("layer");
      const folded = this.folded.has(item.group.layer);
      line.append(element("span", "fold", folded ? "▸" : "▾"));
      line.append(element("span", "path", this.data.paths[item.group.layer] || "(no module)"));
      line.append(element("span", "number", String(item.group.rows.length)));
      line.setAttribute("role", "presentation");
    } else if (item.module !== undefined) {
      line.classList.add("module");
      line.textContent = this.data.paths[item.module];
      line.setAttribute("role", "presentation");
    } else {
      this.drawRow(line, this.rows[item.row]);
    }
    this.mark(line, index);
  }

  drawRow(line, row) {
    line.classList.add("row", row[PART]);
    line.setAttribute("role", "option");
    if (row[PART] === "statement") line.append(element("span", "number", String(row[LINE])));
    const name = row[PART] === "op" ? row[NAME].replace(/^[^.]*\./, "") : row[NAME];
    line.append(element("span", "name", name));
    if (row[RESULT]) line.append(element("span", "result", short(row[RESULT], this.room)));
    if (row[DETAIL]) line.append(element("span", "detail", row[DETAIL]));
    if (row[REMARKS].length) line.append(element("span", "remark", "●"));
    line.title = [row[NAME], row[RESULT], row[DETAIL]].filter(Boolean).join(" ");
  }

  /** Give a line on screen the classes of its state. */
  mark(line, index) {
    const item = this.items[index];
    let state = 0;
    if (item.group && this.folded.has(item.group.layer)) {
      for (const i of item.group.rows) state |= this.marks[i];
    } else if (item.row !== undefined) {
      state = this.marks[item.row];
    }
    line.classList.toggle("direct", (state & DIRECT) !== 0);
    line.classList.toggle("inferred", (state & (DIRECT | INFERRED)) === INFERRED);
    line.classList.toggle("hit", (state & HIT) !== 0);
    const chosen = item.row !== undefined && this.chosen === item.row;
    line.classList.toggle("chosen", chosen);
    line.classList.toggle("cursor", index === this.cursor);
    if (item.row !== undefined) line.setAttribute("aria-selected", String(chosen));
  }

  /** Light up rows: `direct` and `inferred` are their numbers, `chosen` the row it is about, if it is here. */
  light(direct, inferred, chosen) {
    for (const i of this.lit) this.marks[i] &= HIT;
    for (const i of direct) this.marks[i] |= DIRECT;
    for (const i of inferred) this.marks[i] |= INFERRED;
    this.lit = inferred.length ? direct.concat(inferred) : direct;
    this.chosen = chosen;
    this.refresh();
  }

  /** Mark what a search found. */
  found(hits) {
    for (let i = 0; i < this.marks.length; i++) this.marks[i] &= ~HIT;
    for (const i of hits) this.marks[i] |= HIT;
    this.hits = hits;
    this.refresh();
  }

  refresh() {
    this.list.each((line, index) => this.mark(line, index));
    this.paint();
  }

  /** The strip beside the lines: where in the column lit rows and hits are. */
  paint() {
    const { width, height } = this.map;
    const draw = this.map.getContext("2d");
    draw.clearRect(0, 0, width, height);
    const scale = Math.min(height, this.items.length * this.list.height) / Math.max(1, this.items.length);
    const bar = Math.max(2, scale);
    const dots = (rows, colour, left, right) => {
      draw.fillStyle = colour;
      for (const i of rows) draw.fillRect(left, Math.min(height - bar, this.itemOf[i] * scale), right - left, bar);
    };
    const colours = this.on.colours();
    dots(this.hits || [], colours.hit, 0, width / 2);
    for (const i of this.lit) dots([i], this.marks[i] & DIRECT ? colours.direct : colours.inferred, width / 2, width);
  }

  count(text) {
    this.counter.textContent = text || (this.rows.length ? count(this.rows.length, this.noun) : "");
    this.counter.classList.toggle("related", Boolean(text));
  }

  get noun() {
    return this.title.kind === "sql" ? "piece" : "op";
  }

  reveal(row) {
    this.list.reveal(this.itemOf[row]);
  }

  over(event) {
    const still = event.screenX === pointer.x && event.screenY === pointer.y; // the lines moved, not the pointer
    Object.assign(pointer, { x: event.screenX, y: event.screenY });
    if (event.pointerType === "touch" || still) return;
    const item = this.items[this.list.at(event)];
    if (item) this.on.hover(this.number, item.row ?? -1);
  }

  click(event) {
    const index = this.list.at(event);
    if (index >= 0) this.activate(index);
  }

  activate(index) {
    const item = this.items[index];
    if (item.module !== undefined) return;
    this.cursor = index;
    if (item.group) this.on.toggle(item.group.layer);
    else if (item.row !== undefined) this.on.choose(this.number, item.row);
  }

  /** Move the cursor of the keyboard by so many lines; modules are passed over. */
  move(step) {
    let index = this.cursor < 0 ? Math.floor(this.host.scrollTop / this.list.height) - 1 : this.cursor;
    do index += step; while (this.items[index]?.module !== undefined);
    if (this.items[index]) this.place(index);
  }

  place(index) {
    this.cursor = index;
    this.list.reveal(index);
    this.list.each((line, i) => this.mark(line, i));
    this.on.hover(this.number, this.items[index]?.row ?? -1);
  }
}
