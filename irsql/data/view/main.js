// Puts the parts together: the shown function, what is lit, what is chosen, the keyboard.

class View {
  constructor(head) {
    this.head = head;
    this.folded = new Set();
    this.active = 0;
    this.chosen = null;
    this.pass = -1;
    document.getElementById("target").textContent = head.target;
    const notes = document.getElementById("notes");
    notes.hidden = !head.notes.length;
    notes.replaceChildren(...head.notes.map((note) => element("p", "", note)));
    this.columns = head.columns.map((title, i) => new Column(title, i, {
      hover: (column, row) => this.hover(column, row),
      choose: (column, row) => this.choose(column, row),
      toggle: (layer) => this.toggle(layer),
      focus: (column) => { this.active = column; },
      colours: () => this.colours,
    }));
    document.getElementById("columns").append(...this.columns.map((c) => c.root));
    this.passes = new Passes(head, { open: (n) => this.open(n === this.pass ? -1 : n) });
    this.change = new Change({ close: () => this.open(-1), text: (title, text) => this.details.plain(title, text) });
    this.details = new Details(head, { choose: (column, row) => this.go(column, row), close: () => this.release() });
    this.flame = new Flame({ close: () => this.time(false), statement: (found) => this.timed(found) });
    document.getElementById("show-flame").hidden = !head.profiled;
    this.search = new Search({ found: (hits) => this.found(hits), go: (column, row) => this.look(column, row) });
    this.tabs();
    this.buttons();
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
    this.readColours();
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    this.colours = { direct: colour("--direct"), inferred: colour("--inferred"), hit: colour("--hit") };
    this.columns.forEach((c) => c.items && c.paint());
  }

  // -- functions and stages ------------------------------------------------------------------------
  tabs() {
    const functions = document.getElementById("functions");
    this.functionTabs = this.head.functions.map((f, i) => {
      const tab = functions.appendChild(element("button", "", f.name || "(module)"));
      tab.type = "button";
      tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => this.show(i));
      return tab;
    });
    const stages = document.getElementById("tabs");
    this.columns.forEach((column, i) => {
      const tab = stages.appendChild(element("button", "", column.title.name));
      tab.type = "button";
      tab.addEventListener("click", () => this.activate(i, "smooth"));
    });
    this.stageTabs = [...stages.children];
    const host = document.getElementById("columns");
    host.addEventListener("scroll", () => {
      const nearest = Math.round(host.scrollLeft / Math.max(1, this.columns[0].root.offsetWidth));
      this.stageTabs.forEach((tab, i) => tab.setAttribute("aria-current", String(i === nearest)));
    }, { passive: true });
    this.stageTabs[0].setAttribute("aria-current", "true");
  }

  async show(number) {
    const data = await block(`function-${number}`);
    this.release();
    this.number = number;
    this.data = data;
    this.functionTabs.forEach((tab, i) => tab.setAttribute("aria-selected", String(i === number)));
    this.folded.clear(); // layers are numbered by function
    for (const column of this.columns) column.fill(data, this.folded);
    this.search.use(data);
    if (this.pass >= 0) this.open(this.pass);
  }

  toggle(layer) {
    if (!this.folded.delete(layer)) this.folded.add(layer);
    for (const column of this.columns) column.fold(this.folded);
  }

  foldAll() {
    const layers = new Set(this.columns.flatMap((c) => c.groups.map((g) => g.layer)));
    if (this.folded.size) this.folded.clear();
    else for (const layer of layers) this.folded.add(layer);
    for (const column of this.columns) column.fold(this.folded);
  }

  activate(column, behavior = "auto") {
    this.active = Math.max(0, Math.min(this.columns.length - 1, column));
    const { root, host } = this.columns[this.active];
    host.focus({ preventScroll: true });
    root.scrollIntoView({ behavior, inline: "nearest", block: "nearest" });
  }

  // -- lineage -------------------------------------------------------------------------------------
  /** Light what is related to a row; -1 for no row. Nothing changes while a row is chosen. */
  hover(column, row) {
    if (this.chosen || (this.lit && this.lit[0] === column && this.lit[1] === row)) return;
    this.light(column, row);
  }

  light(column, row) {
    this.lit = [column, row];
    const related = row >= 0 ? this.data.relations[this.data.columns[column][row][RELATION]] : null;
    this.columns.forEach((c, i) => {
      const direct = related ? related[0][i] : [], inferred = related ? related[1][i] : [];
      c.light(i === column && row >= 0 && !direct.length ? [row] : direct, inferred, i === column ? row : -1);
      const sum = direct.length + inferred.length - (i === column && direct.includes(row) ? 1 : 0);
      c.count(related && sum ? `${sum} related` : "");
      this.stageTabs[i].textContent = related && sum ? `${c.title.name} ${sum}` : c.title.name;
    });
  }

  /** Keep a row lit and show all of it; the same row again lets go. */
  choose(column, row) {
    if (this.chosen && this.chosen[0] === column && this.chosen[1] === row) return this.release();
    this.chosen = [column, row];
    this.active = column;
    this.light(column, row);
    this.details.show(this.data, this.number, column, row);
    this.gather(column, row); // after the drawer has opened: it takes room
    return undefined;
  }

  /** Bring a row and the first of its relatives in every stage on screen. */
  gather(column, row) {
    const [direct, inferred] = this.data.relations[this.data.columns[column][row][RELATION]];
    this.columns.forEach((c, i) => {
      const first = i === column ? row : direct[i][0] ?? inferred[i][0];
      if (first !== undefined) c.reveal(first);
    });
  }

  release() {
    this.chosen = null;
    this.details.hide();
    if (this.data) this.light(-1, -1);
  }

  /** Choose a row that may be off screen or under a folded module. */
  go(column, row) {
    this.time(false);
    this.unfold(column, row);
    if (this.chosen?.[0] !== column || this.chosen?.[1] !== row) this.choose(column, row);
    this.activate(column);
    this.columns[column].reveal(row);
  }

  /** Bring a row on screen under the cursor, without choosing it. */
  look(column, row) {
    this.time(false);
    this.open(-1);
    this.release();
    this.unfold(column, row);
    const c = this.columns[column];
    c.root.scrollIntoView({ inline: "nearest", block: "nearest" });
    this.active = column;
    c.place(c.itemOf[row]);
    this.gather(column, row);
  }

  unfold(column, row) {
    const c = this.columns[column];
    const group = c.items[c.itemOf[row]].group;
    if (group) this.toggle(group.layer);
  }

  found(hits) {
    this.columns.forEach((c, i) => c.found(hits[i]));
  }

  // -- passes --------------------------------------------------------------------------------------
  open(n) {
    this.pass = n;
    this.passes.select(n);
    if (n >= 0) this.time(false);
    document.getElementById("change").hidden = n < 0;
    document.getElementById("stages").hidden = n >= 0;
    if (n >= 0) {
      this.release();
      this.change.show(this.head.passes[n], this.head.functions[this.number].name);
      if (narrow.matches) this.showPasses(false);
    } else {
      this.columns.forEach((c) => c.list.show());
    }
  }

  // -- time ----------------------------------------------------------------------------------------
  get timing() {
    return !this.flame.root.hidden;
  }

  /** Show where the time goes instead of the stages, or the stages again. */
  time(shown) {
    if (shown === this.timing || (shown && !this.head.profiled)) return;
    if (shown) {
      this.open(-1);
      this.flame.show();
    } else {
      this.flame.hide();
    }
    this.release();
    document.getElementById("stages").hidden = shown;
    document.getElementById("show-flame").setAttribute("aria-pressed", String(shown));
    if (!shown) this.columns.forEach((c) => c.list.show());
  }

  /** Show a statement of the profile below the flames: as the stages know it, or, of none of their functions, its text. */
  async timed({ function: name, number, sql }) {
    const index = this.head.functions.findIndex((f) => f.name === name);
    if (number === 0 || index < 0) {
      this.details.plain(number ? `${name} ${number}` : "control", sql);
      return;
    }
    if (index !== this.number) await this.show(index);
    const column = this.head.columns.findIndex((c) => c.kind === "sql");
    const row = this.data.columns[column].findIndex((r) => r[LINE] === number && r[PART] === "statement");
    this.details.show(this.data, this.number, column, row);
  }

  step(by) {
    const n = this.pass < 0 ? (by > 0 ? 0 : this.head.passes.length - 1) : this.pass + by;
    if (n >= 0 && n < this.head.passes.length) this.open(n);
  }

  showPasses(visible) {
    document.body.classList.toggle("without-passes", !visible);
    document.getElementById("show-passes").setAttribute("aria-expanded", String(visible));
  }

  // -- buttons and keys ----------------------------------------------------------------------------
  buttons() {
    const help = document.getElementById("help");
    document.getElementById("show-help").addEventListener("click", () => help.showModal());
    document.getElementById("show-flame").addEventListener("click", () => this.time(!this.timing));
    document.getElementById("fold").addEventListener("click", () => this.foldAll());
    document.getElementById("show-passes").addEventListener("click", () =>
      this.showPasses(document.body.classList.contains("without-passes")));
    this.showPasses(!narrow.matches);
  }

  key(event) {
    if (event.target.closest("input, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    const column = this.columns[this.active];
    const onButton = event.target.closest("button") && (event.key === "Enter" || event.key === " ");
    const actions = {
      "/": () => this.search.input.select(),
      "?": () => document.getElementById("help").showModal(),
      Escape: () => this.escape(),
      "[": () => this.step(-1),
      "]": () => this.step(1),
      f: () => this.show((this.number + 1) % this.head.functions.length),
      t: () => this.time(!this.timing),
      z: () => this.foldAll(),
      p: () => this.showPasses(document.body.classList.contains("without-passes")),
    };
    const inStages = this.pass < 0 && !this.timing && {
      ArrowDown: () => column.move(1), j: () => column.move(1),
      ArrowUp: () => column.move(-1), k: () => column.move(-1),
      ArrowLeft: () => this.activate(this.active - 1), h: () => this.activate(this.active - 1),
      ArrowRight: () => this.activate(this.active + 1), l: () => this.activate(this.active + 1),
      Enter: () => column.cursor >= 0 && column.activate(column.cursor),
      " ": () => column.cursor >= 0 && column.activate(column.cursor),
    };
    const action = onButton ? null : actions[event.key] || (inStages && inStages[event.key]);
    if (!action || event.target.closest("pre")) return;
    event.preventDefault();
    action();
  }

  escape() {
    if (!this.details.root.hidden) this.release();
    else if (this.timing) this.time(false);
    else if (this.pass >= 0) this.open(-1);
    else if (this.search.input.value) this.search.clear();
    else this.light(-1, -1);
  }
}

const narrow = matchMedia("(max-width: 760px)");

block("head").then(async (head) => {
  const view = new View(head);
  const rows = head.functions.map((f) => f.rows.reduce((a, b) => a + b, 0));
  await view.show(Math.max(0, rows.indexOf(Math.max(...rows))));
  document.documentElement.dataset.ready = "true";
});
